"""Attacks in TypeScript, by what Node itself has: files, processes, sockets, workers."""

from __future__ import annotations

from tests.hostile.check import typescript

_REFUSED = "ENOENT or EACCES."

typescript(
    7,
    "memory_of_others_by_node",
    "Opens /proc/PID/mem of the server, the zygote, the spawner and other kernels.",
    "Refused for each of them.",
    """return reached(Object.fromEntries(Object.entries(facts.processes).map(([name, pid]) => [name, () => {
      fs.closeSync(fs.openSync(`/proc/${pid}/mem`, 'r')); return true }])))""",
    since="landlock",
    as_root="process",
    depends=True,
)
typescript(
    8,
    "list_of_processes_by_node",
    "Looks for the server, the zygote, the spawner and other kernels in /proc.",
    "Own processes only.",
    "const listed = fs.readdirSync('/proc'); return Object.entries(facts.processes).filter(([, pid]) => listed.includes(String(pid)))",
    since="namespaces",
)
typescript(
    9,
    "signals_by_node",
    "Signals the server, the zygote, the spawner and other kernels with 0, and changes their priority to what it is.",
    "Refused, or nobody is there.",
    """const attempts = {};
    for (const [name, pid] of Object.entries(facts.processes)) attempts[name] = () => process.kill(pid, 0);
    return reached(attempts)""",
    since="landlock",
    as_root="process",
)
typescript(
    14,
    "sockets_by_node",
    "Connects to unix sockets of the server, of its run directory and of another context, and to abstract ones.",
    "Unreachable.",
    """const connect = (path) => new Promise((done, fail) => {
      const one = net.connect(path[0] === '/' ? require('path').relative(process.cwd(), path) : path, () => { one.destroy(); done(true) }); one.on('error', fail) });
    const paths = [...facts.sockets, '\\0' + facts.abstract, '\\0' + facts.abstract_of_another];
    return reached(Object.fromEntries(paths.map((path) => [path, () => connect(path)])))""",
    since="namespaces",
    as_root="landlock",
)
typescript(
    15,
    "inherited_descriptors_by_node",
    "Looks at every open file of its process: directories, files of others, processes.",
    "0 to 2, the kernel's own channel, and what Node has opened itself; nothing else.",
    """const found = [];
    for (const fd of fs.readdirSync('/proc/self/fd').map(Number).filter((fd) => fd > 2)) {
      let link; try { link = fs.readlinkSync(`/proc/self/fd/${fd}`) } catch { continue }
      if (link.includes('pidfd') || (link.startsWith('/') && !link.startsWith('/dev/') && fs.fstatSync(fd).isDirectory() && !link.includes(`/proc/${process.pid}/fd`))) found.push(link);
      if (link.startsWith(facts.run_dir) && !link.startsWith(facts.home_of_contexts)) found.push(link);
    }
    return found""",
    since="none",
)
typescript(
    18,
    "shared_places_by_node",
    "Looks for what another context keeps in /tmp, /dev/shm and /var/tmp.",
    "Invisible.",
    "return reached(Object.fromEntries(['/tmp', '/dev/shm', '/var/tmp'].map((place) => [place, () => fs.readFileSync(`${place}/${facts.mark}`)])))",
    since="namespaces",
    depends=True,
)
typescript(
    19,
    "secrets_by_node",
    "Reads the operator's files and those of other contexts: by path, symlink, /proc/self/root, and in a worker.",
    _REFUSED,
    """const attempts = {};
    for (const path of [...facts.secrets, ...facts.victims]) {
      attempts[path] = () => fs.readFileSync(path);
      attempts['root ' + path] = () => fs.readFileSync('/proc/self/root' + path);
      attempts['link ' + path] = () => { fs.rmSync('node-link', {force: true}); fs.symlinkSync(path, 'node-link'); return fs.readFileSync('node-link') };
      attempts['copy ' + path] = () => { fs.copyFileSync(path, 'node-copy'); return true };
    }
    attempts.worker = () => new Promise((done, fail) => {
      const { Worker } = require('worker_threads');
      const one = new Worker(`require('worker_threads').parentPort.postMessage(require('fs').readFileSync(${JSON.stringify(facts.secrets[0])}, 'utf8'))`, {eval: true});
      one.on('message', done); one.on('error', fail);
    });
    return reached(attempts)""",
    since="landlock",
    as_root="process",
)
typescript(
    22,
    "code_of_everybody_by_node",
    "Opens Node and the kernel's own source for writing.",
    "Refused: they are read-only, or of another user.",
    """const words = fs.readFileSync('/proc/self/cmdline', 'utf8').split('\\0');
    const paths = [process.execPath, words.find((word) => word.endsWith('.mjs'))].filter((path) => path && fs.existsSync(path));
    return reached(Object.fromEntries(paths.map((path) => [path, () => { fs.accessSync(path, fs.constants.W_OK); return true }])))""",
    since="landlock",
    as_root="process",
    depends=True,
)
typescript(
    29,
    "connections_by_node",
    "Connects to ports of the host by TCP, fetches the server's page, and asks a resolver.",
    "Nothing leaves.",
    """const connect = (host, port) => new Promise((done, fail) => {
      const one = net.connect({host, port, timeout: 500}, () => { one.destroy(); done(true) });
      one.on('error', fail); one.on('timeout', () => { one.destroy(); done(host !== '127.0.0.1') }) });
    return reached({server: () => connect('127.0.0.1', facts.port), host: () => connect('127.0.0.1', facts.tcp),
      fetch: () => fetch(`http://127.0.0.1:${facts.port}/healthz`).catch((error) => { throw error.cause ?? error }),
      metadata: () => connect('169.254.169.254', 80)})""",
    since="landlock",
)
