// A program as its author would write it: checked in strict mode against the declarations, and run.
import { ApiError, Client, type Event, Result } from '../../../clients/typescript/lib/index.js';

const client: Client = new Client({ url: 'http://127.0.0.1:1', retries: 0 });

export async function program(signal: AbortSignal): Promise<string | undefined> {
  const result: Result = await client.runCode('6 * 7', { contextId: 'demo', timeoutMs: 1000, signal });
  for await (const event of client.stream('print(1)', { language: 'python', signal })) handle(event);
  await client.contexts.create({ isolation: 'namespaces', network: 'none', limits: { memory: 1e9 } });
  // @ts-expect-error - there is no such isolation
  await client.contexts.create({ isolation: 'strong' });
  const files = await client.files.list('demo', { recursive: true });
  const sizes: number[] = files.items.map((file) => file.size);
  try {
    await client.contexts.fork('demo', { newId: 'copy' });
  } catch (error) {
    if (error instanceof ApiError && error.code === 'CannotBranch') return error.obstacles[0]?.name;
  }
  return result.text ?? String(sizes.length);
}

function handle(event: Event): string | number | undefined {
  switch (event.type) {
    case 'stdout':
      return event.text;
    case 'item':
      return event.item.png;
    case 'done':
      return event.duration_ms;
    default:
      // @ts-expect-error - no event of the others has a text
      return event.text;
  }
}

// @ts-expect-error - seconds are no option here
void (() => client.runCode('1', { timeout: 3 }));
// @ts-expect-error - a number is no code
void (() => client.runCode(1));
