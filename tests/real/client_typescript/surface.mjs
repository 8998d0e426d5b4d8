// All that the client can do, once, against the server that POLYREPL_URL names. Runs on Node, Deno, Bun and in a page.
import { ApiError, CodeFailed, Client, ConnectionFailed, DeadlineExceeded } from '__CLIENT__';

function equal(actual, expected, what) {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: ${a} is not ${b}`);
}

async function rejection(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was not rejected');
}

/** What a call is rejected with whose signal is aborted while it waits. */
async function aborted(call) {
  const controller = new AbortController();
  const outcome = rejection(call(controller.signal));
  setTimeout(() => controller.abort(new Error('enough')), 40);
  return (await outcome).message;
}

export async function run(options, name) {
  const client = new Client(options);
  const contextId = `ts-${name}`;
  equal((await client.health()).status, 'ok', 'health');

  const result = await client.runCode('print("hi")\nx = 6 * 7\nx', { contextId });
  equal([result.text, result.stdout, result.isOk], ['42', 'hi', true], 'run');
  const failed = await client.runCode('1 / 0', { contextId });
  equal(failed.error.name, 'ZeroDivisionError', 'error of the code');
  const thrown = await rejection(Promise.resolve().then(() => failed.orThrow()));
  equal([thrown instanceof CodeFailed, thrown.code], [true, 'ZeroDivisionError'], 'orThrow');

  const checked = await client.runCode('const n: number = "x"', { contextId, language: 'ts', check: true });
  equal(checked.diagnostics.map((each) => [each.line, each.column, each.code]), [[1, 7, 2322]], 'diagnostics');
  const unchecked = await client.runCode('1', { contextId, check: true });
  equal(unchecked.unchecked.includes('TypeScript'), true, 'not checked');

  const wanted = { limits: { open_files: 200 }, isolation: 'landlocked' };
  for (const call of [() => client.contexts.create(wanted), () => client.runCode('1', wanted)]) {
    const refused = await rejection(call());
    equal([refused.code, refused.message.includes('isolation')], ['InvalidRequest', true], 'an isolation that is none');
  }
  const usual = await client.contexts.create({ contextId: `${contextId}-limited`, limits: { open_files: 200 } });
  equal(usual.limits.open_files, 200, 'limits');
  const { isolation, network } = usual;
  const same = await client.contexts.create({ contextId: `${contextId}-same`, isolation, network });
  equal([same.isolation, same.network], [isolation, network], 'isolation and network');

  const seen = [];
  const asked = await client.runCode('name = input("name? ")\nprint("hello", name)\nname.upper()', {
    contextId,
    onStdout: (text) => seen.push(text),
    onItem: (item) => seen.push(item.text),
    onInput: async (request) => `${request.prompt.length}`,
  });
  equal([seen, asked.text], [['hello 6\n', "'6'"], "'6'"], 'callbacks and input');
  equal((await client.runCode('input()', { contextId, onStdout() {} })).error.name, 'EOFError', 'nobody answers');

  const types = [];
  for await (const event of client.stream('for n in range(3): print(n)\nn', { contextId })) types.push(event.type);
  equal([types[0], types.at(-1), types.includes('item')], ['started', 'done', true], 'stream');

  const cut = cutting(client, 2);
  const lines = [];
  for await (const event of cut.stream('import time\nfor n in range(40): print(n, flush=True); time.sleep(0.005)', { contextId })) {
    if (event.type === 'stdout') lines.push(event.text);
  }
  equal(lines.join(''), Array.from({ length: 40 }, (_, n) => `${n}\n`).join(''), 'nothing is lost over broken connections');

  const running = await client.executions.start('while True: pass', { contextId });
  equal(await aborted((signal) => client.executions.wait(running.execution_id, { signal })), 'enough', 'an aborted wait');
  const late = await rejection(client.executions.wait(running.execution_id, { deadlineMs: 50 }));
  equal(late instanceof DeadlineExceeded, true, 'a deadline');
  await client.executions.interrupt(running.execution_id);
  equal((await client.executions.wait(running.execution_id)).status, 'interrupted', 'interrupt');

  const ends = 'import time\ntime.sleep(60)';
  equal(await aborted((signal) => client.runCode(ends, { contextId, signal })), 'enough', 'an aborted run');
  equal((await client.contexts.interrupt(contextId)).length, 1, 'an abort does not stop the code');
  equal(await aborted((signal) => client.runCode(ends, { contextId, signal, onStdout() {} })), 'enough', 'an aborted run with callbacks');
  await client.contexts.interrupt(contextId);
  const controller = new AbortController();
  const stream = client.stream('print("begun", flush=True)\nwhile True: pass', { contextId, signal: controller.signal });
  const begun = [];
  const read = async () => {
    for await (const event of stream) {
      begun.push(event.type);
      if (event.type === 'stdout') controller.abort(new Error('enough'));
    }
  };
  equal([(await rejection(read())).message, ...begun], ['enough', 'started', 'stdout'], 'an aborted stream');
  await stream.interrupt();
  const never = rejection(client.runCode('x = 0', { contextId, signal: AbortSignal.abort(new Error('before')) }));
  equal((await never).message, 'before', 'aborted before it began');

  equal((await client.contexts.variables(contextId, { match: 'x' })).items[0].preview, '42', 'variables');
  const checkpoint = await client.checkpoints.create(contextId, { name: 'before' });
  await client.runCode('x = 0', { contextId });
  const copy = await client.contexts.fork(contextId, { newId: `${contextId}-copy`, checkpoint: checkpoint.checkpoint });
  equal((await client.runCode('x', { contextId: copy.id })).text, '42', 'a copy of a checkpoint');
  await client.contexts.restore(contextId, checkpoint.checkpoint);
  equal((await client.runCode('x', { contextId })).text, '42', 'restore');
  equal((await client.checkpoints.list(contextId)).map((each) => each.name), ['before'], 'checkpoints');
  await client.checkpoints.delete(contextId, checkpoint.checkpoint);

  const completed = await client.contexts.complete(contextId, 'import colle');
  equal(completed.matches.some((match) => match.text.includes('collections')), true, 'complete');
  equal((await client.contexts.inspect(contextId, 'x')).found, true, 'inspect');
  equal((await client.contexts.isComplete(contextId, 'for x in y:')).status, 'incomplete', 'isComplete');

  const bytes = Uint8Array.from({ length: 300_000 }, (_, at) => at % 251);
  equal((await client.files.upload(contextId, 'a b/ü.bin', bytes)).size, bytes.length, 'upload');
  equal((await client.files.upload(contextId, 'blob.txt', new Blob(['of a blob']))).size, 9, 'upload of a blob');
  equal(Array.from(await client.files.download(contextId, 'a b/ü.bin')), Array.from(bytes), 'download');
  const streamed = await client.files.stream(contextId, 'a b/ü.bin');
  equal(Array.from(new Uint8Array(await new Response(streamed).arrayBuffer())), Array.from(bytes), 'streamed download');
  const left = (await client.files.stream(contextId, 'a b/ü.bin')).getReader();
  equal((await left.read()).done, false, 'a part of a download');
  await left.cancel();
  const nothing = await rejection(client.files.stream(contextId, 'not there'));
  equal(nothing.code, 'FileMissing', 'a stream of a missing file');
  const over = AbortSignal.abort(new Error('before'));
  equal((await rejection(client.files.upload(contextId, 'no.bin', bytes, { signal: over }))).message, 'before', 'an aborted upload');
  if (name !== 'page') {
    // Browsers send no streams over plain HTTP.
    const parts = new Blob(['of ', 'a ', 'stream']).stream();
    equal((await client.files.upload(contextId, 'stream.txt', parts)).size, 11, 'upload of a stream');
    equal(new TextDecoder().decode(await client.files.download(contextId, 'stream.txt')), 'of a stream', 'what was streamed');
    const endless = () => new ReadableStream({ pull: (queue) => new Promise((go) => setTimeout(go, 5)).then(() => queue.enqueue(new Uint8Array(1000))) });
    const upload = (signal) => client.files.upload(contextId, 'no.bin', endless(), { signal });
    equal(await aborted(upload), 'enough', 'an aborted upload of a stream');
  }
  equal((await rejection(client.files.download(contextId, 'no.bin'))).code, 'FileMissing', 'what was aborted is not there');
  const paths = (await client.files.list(contextId, { recursive: true })).items.map((file) => file.path);
  equal(paths.includes('a b/ü.bin'), true, 'list');
  await client.files.delete(contextId, 'blob.txt');
  const missing = await rejection(client.files.download(contextId, 'blob.txt'));
  equal([missing instanceof ApiError, missing.code, missing.status], [true, 'FileMissing', 404], 'a missing file');

  const wrong = await rejection(client.runCode('1', { language: 'cobol' }));
  equal([wrong.code, wrong.fields[0].field, wrong.remediation.length > 0], ['UnknownLanguage', 'language', true], 'typed error');
  const nobody = await rejection(new Client({ url: 'http://127.0.0.1:1', retries: 0 }).health());
  equal(nobody instanceof ConnectionFailed, true, 'no server');

  equal((await client.contexts.list()).some((context) => context.id === contextId), true, 'contexts');
  await client.contexts.delete(copy.id);
  await client.contexts.delete(contextId);
  equal((await rejection(client.contexts.get(contextId))).code, 'ContextNotFound', 'a context that is gone');
  return 'all of it works';

  /** A client whose streams break after every few chunks. */
  function cutting(_, after) {
    return new Client({
      ...options,
      fetch: async (input, init) => {
        const response = await fetch(input, init);
        if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response;
        const reader = response.body.getReader();
        let left = after;
        const body = new ReadableStream({
          async pull(queue) {
            const { done, value } = await reader.read();
            if (done) return queue.close();
            queue.enqueue(value);
            left -= 1;
            if (left < 0) {
              await reader.cancel();
              queue.error(new TypeError('cut'));
            }
          },
        });
        return new Response(body, { status: response.status, headers: response.headers });
      },
    });
  }
}
