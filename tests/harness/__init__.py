"""What tests start and talk to. A server has two forms: `in_process.serve(engine)`, an engine (mostly over fakes) under uvicorn in
this process; and `server.Server(settings=...)`, a `polyrepl serve` process."""
