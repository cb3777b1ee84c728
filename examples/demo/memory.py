"""What a process costs, from the kernel's own books: /proc/self/smaps."""


def usage(path):
    """Bytes of this process: `shared`, its part of the file at `path` (PSS: each page divided by the number
    of processes that have it mapped, so that the sum over all processes is what is really there), and `private`,
    what nobody else uses."""
    shared = private = 0
    inside = False
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if not line[0].isupper():  # the head of a mapping: addresses, permissions, offset, device, inode, path
                inside = line.rstrip("\n").endswith((path, path + " (deleted)"))
            elif inside and line.startswith("Pss:"):
                shared += int(line.split()[1]) * 1024
            elif not inside and line.startswith(("Private_Clean:", "Private_Dirty:")):
                private += int(line.split()[1]) * 1024
    return {"shared": shared, "private": private}
