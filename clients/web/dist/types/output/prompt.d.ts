/** The line in which a person answers `input()`. */
export declare function prompt(label: string, isPassword: boolean, answer: (text: string) => void): HTMLFormElement;
