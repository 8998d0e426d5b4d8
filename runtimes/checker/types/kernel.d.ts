// What the TypeScript kernel adds to the globals of its runtime.

interface PolyreplShown extends Promise<void> {
  display_id?: string;
  update?(value: unknown): Promise<void>;
}

interface PolyreplDisplayOptions {
  display_id?: string | true;
  update?: boolean;
  metadata?: object;
  raw?: boolean;
}

interface PolyreplShow {
  (value: unknown, options?: PolyreplDisplayOptions): PolyreplShown;
  (text: TemplateStringsArray, ...values: unknown[]): PolyreplShown;
}

interface PolyreplDisplay {
  (value?: unknown, options?: PolyreplDisplayOptions & { display_id: string | true }): PolyreplShown & {
    display_id: string;
    update(value: unknown): Promise<void>;
  };
  (value?: unknown, options?: PolyreplDisplayOptions): PolyreplShown;
  html: PolyreplShow;
  markdown: PolyreplShow;
  svg: PolyreplShow;
  latex: PolyreplShow;
  json: PolyreplShow;
  javascript: PolyreplShow;
  png: PolyreplShow;
  jpeg: PolyreplShow;
  gif: PolyreplShow;
  webp: PolyreplShow;
  pdf: PolyreplShow;
  text: PolyreplShow;
  plotly: PolyreplShow;
  vega: PolyreplShow;
  vegalite: PolyreplShow;
  image(value: unknown, options?: PolyreplDisplayOptions): PolyreplShown;
  table(value: unknown, options?: PolyreplDisplayOptions & { columns?: readonly string[] }): PolyreplShown;
  update(value: unknown, options: PolyreplDisplayOptions & { display_id: string }): PolyreplShown;
  clear(wait?: boolean): void;
}

interface PolyreplElement {
  readonly outerHTML: string;
  toString(): string;
}

// A variable of an earlier cell, declared as D, that had the type E at the end of the last cell. A function may have assigned another
// value since, so only two things are kept: that it is no null or undefined, and which of several objects it is.
type PolyreplVariable<D, E> = [E] extends [never] ? D : [E] extends [object] ? E : [E] extends [{}] ? NonNullable<D> : D;
type PolyreplConstant<D, E> = [E] extends [never] ? D : E;

// As in browsers: what comes over the network has no type that is known.
interface Response { json(): Promise<any> }
interface Request { json(): Promise<any> }

declare var display: PolyreplDisplay;
declare function prompt(message?: unknown, defaultValue?: unknown): string | null;
declare function confirm(message?: unknown): boolean;
declare function alert(message?: unknown): void;
declare function h(type: any, props?: any, ...children: any[]): PolyreplElement;
declare function Fragment(props?: any): any;

declare namespace JSX {
  type Element = any;
  type ElementType = any;
  interface ElementChildrenAttribute { children: {} }
  interface IntrinsicAttributes { key?: any; ref?: any }
  interface IntrinsicElements { [name: string]: any }
}

declare module "npm:*";
declare module "jsr:*";
declare module "http://*";
declare module "https://*";
declare module "data:*";
