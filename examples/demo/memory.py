"""What a process costs, from the kernel's own books: /proc/self/smaps."""


def usage(path):
    """Bytes of this process. `payload` and `control`: its part of the two parts of the store at `path`, as PSS (each
    page divided by the number of processes that have it mapped: the sum over all processes is what is really there).
    `private`: what nobody else uses, the interpreter and its libraries included."""
    bytes_of = {"payload": 0, "control": 0, "private": 0}
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            if not line[0].isupper():  # the head of a mapping: addresses, permissions, offset, device, inode, path
                inside = line.rstrip("\n").endswith((path, path + " (deleted)"))
                part = "private" if not inside else "control" if int(line.split()[2], 16) == 0 else "payload"
            elif line.startswith("Pss:" if inside else ("Private_Clean:", "Private_Dirty:")):
                bytes_of[part] += int(line.split()[1]) * 1024
    return bytes_of
