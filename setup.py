"""What pyproject.toml cannot say: all packages are found, and the configs are installed as jstr.configs."""

from setuptools import find_namespace_packages, setup

setup(
    packages=[*find_namespace_packages(include=["jstr*"]), "jstr.configs"],
    package_dir={"jstr.configs": "configs"},
)
