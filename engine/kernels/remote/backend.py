"""The remote backend: kernels on a remote Jupyter. Neither directories nor variables of this machine mean anything there."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_client.kernelspec import KernelSpec

from engine.errors import FieldError
from engine.kernels import Backend, FileHolder, Kernel
from engine.kernels.provisioners import Waker
from engine.kernels.remote.channels import RemoteChannels
from engine.kernels.remote.files import RemoteFiles
from engine.kernels.remote.provisioner import RemoteProvisioner
from engine.kernels.remote.server import RemoteServer, remote_problem
from engine.languages import BUILTIN, Language
from engine.metrics import Metrics
from engine.settings import Settings
from engine.workspaces import RunDir, Workspace


class RemoteJupyter(Backend):
    """Runs the languages that the settings name on the Jupyter of `jupyter_url`."""

    name = "jupyter"
    title = "remote Jupyter"
    where = "on a remote Jupyter"
    takes_cwd = False
    watches_files = False

    def __init__(self, settings: Settings, *, metrics: Metrics) -> None:
        super().__init__(settings, metrics=metrics)
        self._kernelspecs = {f"jupyter:{name}": name for name in settings.remote_languages.values()}
        self._specs: dict[str, KernelSpec] = {}
        self._server: RemoteServer | None = None

    @property
    def kernel_names(self) -> Mapping[str, str]:
        return {language: f"jupyter:{name}" for language, name in self._settings.remote_languages.items()}

    @property
    def default_timeout(self) -> float:
        return self._settings.jupyter_timeout or super().default_timeout

    def open(self, run_dir: RunDir, waker: Waker) -> None:
        super().open(run_dir, waker)
        token = self._settings.jupyter_token
        self._server = RemoteServer(
            self._settings.jupyter_url,
            token.get_secret_value() if token else None,
            start_timeout=self._settings.kernel_start_timeout,
        )

    @property
    def server(self) -> RemoteServer:
        assert self._server is not None, "the engine has not been entered"
        return self._server

    def spec(self, language: Language) -> KernelSpec:
        """It honours nothing of ours; its language is known once a kernel of it has been started."""
        spec = self._specs.get(language.kernel_name)
        if spec is None:
            name = self._kernelspecs[language.kernel_name]
            spec = KernelSpec(display_name=f"{name} at {self._settings.jupyter_url}", language="", metadata={})
            self._specs[language.kernel_name] = spec
        return spec

    def describe(self) -> str:
        runs = ", ".join(f"{name} on {kernel}" for name, kernel in self._settings.remote_languages.items())
        return f"{self._settings.jupyter_url} answers; {runs}"

    def problem(self, language: Language) -> str | None:
        return remote_problem(self._settings.jupyter_url)

    def wrong_settings(self) -> list[FieldError]:
        here = {name: language.name for language in BUILTIN for name in (language.name, *language.aliases)}
        here |= {name: name for name in self._settings.kernelspecs}
        wrong = []
        seen: dict[str, str] = {}
        for name, kernelspec in self._settings.jupyter_languages.items():
            other = seen.setdefault(here.get(name, name), name)
            if not name or not kernelspec:
                problem = f"'{name}={kernelspec}' must name a language and a kernelspec, as r=ir"
            elif kernelspec == "local" and name not in here and "*" not in self._settings.kernelspecs:
                problem = f"{name!r} is no language of this machine; allowed for local: {', '.join(here)}"
            elif other != name:
                problem = f"{name!r} and {other!r} are the same language; allowed: one of them"
            else:
                continue
            wrong.append(FieldError("jupyter_languages", problem))
        return wrong

    async def check(self) -> str | None:
        names = set(self._kernelspecs.values())
        if not names:
            return None
        return remote_problem(self._settings.jupyter_url) or await self.server.problem(names)

    async def _start(
        self, spec: KernelSpec, language: Language, workspace: Workspace, *, patient: bool
    ) -> tuple[Kernel, str]:
        await workspace.ready()
        name = self._kernelspecs[language.kernel_name]
        provisioner = RemoteProvisioner(self.server, name, env=self._settings.kernel_env, kernel_spec=spec)
        directory = self.run_dir.new_kernel_dir()
        kernel = Kernel(spec, provisioner, directory, remover=self.run_dir, metrics=self._metrics)
        await kernel.start(
            [], channels=RemoteChannels, cwd=workspace.cwd, env={}, timeout=self._settings.kernel_start_timeout
        )
        spec.language = self.server.known_language(name) or spec.language
        return kernel, "remote"

    def files(self, holder: FileHolder) -> RemoteFiles:
        root = self._settings.jupyter_file_root or ""
        return RemoteFiles(holder, root=root, max_file_bytes=self._settings.max_file_bytes)

    async def aclose(self) -> None:
        if self._server is not None:
            await self._server.aclose()
