// Streams, results and files over connections that break, against what POLYREPL_URL names; prints what came.
import { Client } from '__CLIENT__';

const client = new Client();
const contextId = 'ts-cuts';
const kinds = [];
let printed = '';
for await (const event of client.stream(process.env.CODE, { contextId })) {
  if (event.type === 'stdout') printed += event.text;
  else kinds.push(event.type);
}
const content = Uint8Array.from({ length: 500_000 }, (_, at) => (at * 7) % 251);
await client.files.upload(contextId, 'there', content);
const back = await client.files.download(contextId, 'there');
const count = await client.runCode('runs = globals().get("runs", 0) + 1\nruns', { contextId });
console.log(JSON.stringify({ kinds, printed, isWhole: back.every((each, at) => each === content[at]), size: back.length, runs: count.text }));
