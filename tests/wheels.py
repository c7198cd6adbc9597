"""Python packages made on the spot: nothing has to be reached to install one."""

import zipfile
from pathlib import Path


def make_wheel(folder: Path, name: str, source: str, version: str = "1.0") -> str:
    """Write a wheel with one module of the package's name, and a program `{name}-say` that prints it; return its name.

    **Source**: PEP 427.
    """
    about = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": f"[console_scripts]\n{name}-say = {name}:say\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{about}/RECORD"))
    file_name = f"{name}-{version}-py3-none-any.whl"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / file_name, "w") as archive:
        for path, text in {**files, f"{about}/RECORD": record}.items():
            archive.writestr(path, text)
    return file_name
