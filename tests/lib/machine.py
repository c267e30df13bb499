"""What this machine lets programs of others do."""
import shutil


def why_no_buildah():
    """A reason to skip, or None. buildah remounts "/", which in a plain chroot is no mount point."""
    if not shutil.which("buildah"):
        return "no buildah"
    with open("/proc/self/mountinfo") as f:
        if not any(line.split()[4] == "/" for line in f):
            return "buildah cannot work in a chroot whose / is no mount point"
    return None
