"""Deploys only the reports of this folder, in seconds. The stack is then as after `sam build` and `sam deploy`.

In the stack's own template, all code is already in S3. So only the reports layer is uploaded, with the name that SAM
CLI gives it.
"""

import hashlib
import io
import stat
import zipfile
from pathlib import Path
from typing import Any

from samcli.lib.utils.hash import dir_checksum  # type: ignore[import-untyped]

from checks.repository import Document
from exports_admin import stack


def deploy(name: str, where: dict[str, Any], folder: Path) -> None:
    """Updates a stack on the emulator.

    Args:
        name: the name of the stack.
        where: ``{region, endpoint_url}`` of the emulator.
        folder: the folder of the reports.

    Raises:
        botocore.exceptions.ClientError: the stack does not exist, or nothing has changed.
        botocore.exceptions.WaiterError: the update failed.
    """
    cloudformation, s3 = stack.client("cloudformation", where), stack.client("s3", where)
    template = cloudformation.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    layer = Document(template, name).data["Resources"]["ReportsLayer"]["Properties"]["ContentUri"]
    bucket, key = layer.removeprefix("s3://").split("/", 1)
    prefix = key[: key.rfind("/") + 1]

    def put(key: str, body: bytes) -> str:
        s3.put_object(Bucket=bucket, Key=prefix + key, Body=body)
        return f"{bucket}/{prefix}{key}"

    template = template.replace(layer, f"s3://{put(dir_checksum(str(folder)), _zipped(folder))}").encode()
    url = f"{where['endpoint_url']}/{put(f'{hashlib.sha256(template).hexdigest()}.template', template)}"
    before = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Parameters"]
    cloudformation.update_stack(
        StackName=name,
        TemplateURL=url,
        Parameters=[{"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in before],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(
        StackName=name, WaiterConfig={"Delay": 0.2, "MaxAttempts": 1500}
    )


def _zipped(folder: Path) -> bytes:
    """The folder as a zip file. It has no timestamps, so equal content gives equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix())
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    return content.getvalue()
