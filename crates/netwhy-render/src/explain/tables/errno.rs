//! Errors a socket call can return, and what they mean for a connection. What the elapsed time adds stands in the hints.

use crate::explain::row::{Row, word};

#[rustfmt::skip]
pub(super) static ERRNO: &[Row] = &[
    word("ECONNREFUSED", "Refused: somebody answered that nobody accepts there.").alias(&["Connection refused", "errno 111"])
        .hints(&[("connect, one round trip", "the target sent RST (no listener there, or a rule that rejects with a reset), or ICMP port unreachable came (a reject rule, no UDP socket)"),
            ("send or recv on UDP", "an earlier datagram was answered with ICMP port unreachable"),
            ("at once, on this host", "nothing listens on that local port or address")])
        .not("an unreachable host: the host or something before it did answer").see(&["svc-not-listening", "svc-bound-elsewhere", "fw-reject", "k8s-no-endpoints"]),
    word("EHOSTUNREACH", "No route to host: the way is known, the host at its end is not.").alias(&["No route to host", "errno 113"])
        .hints(&[("about 3 s", "this host asked for the neighbour's link-layer address three times and nobody answered"),
            ("one round trip", "a router or a rule sent ICMP 3/1, 3/10, 3/12 to 3/15, or a TTL ran out"),
            ("at once", "an unreachable route on this host")])
        .not("a missing route, in spite of its text: that is ENETUNREACH").see(&["neigh-unresolved", "fw-reject", "route-type-deny", "ttl-or-loop"]),
    word("ENETUNREACH", "Network is unreachable: no route.").alias(&["Network is unreachable", "errno 101"])
        .hints(&[("at once", "no route on this host for that destination (often: no default route, or the link that carries it is down)"),
            ("one round trip", "a router sent ICMP 3/0 (also 3/6, 3/9, 3/11)"),
            ("after a long stall", "an ICMP error came meanwhile; it is reported when TCP gives up")])
        .see(&["route-missing", "link-down", "ipv6-broken", "dad-failed", "fw-reject"]),
    word("ETIMEDOUT", "Nothing came back until TCP gave up.").alias(&["Connection timed out", "errno 110"])
        .hints(&[("connect, about 130 s", "SYNs sent again after 1, 2, 4 s and so on, net.ipv4.tcp_syn_retries times (6 by default), none answered; a program with a deadline of its own gives up earlier"),
            ("established", "retransmissions (tcp_retries2, about 15 minutes), keepalives or TCP_USER_TIMEOUT ran out: the peer vanished")])
        .not("a slow server: the handshake is done by the kernel, not by the program").see(&["path-or-remote-drop", "fw-drop-outbound", "fw-drop-inbound", "accept-queue-full"]),
    word("ECONNRESET", "The peer, or something in its name, tore the connection down with RST.").alias(&["Connection reset by peer", "errno 104"])
        .hints(&[("right after the first request", "the peer's program closed with unread data, crashed, or does not speak this protocol"),
            ("after idling", "a middlebox or the peer forgot the connection"),
            ("during connect", "a RST came for a SYN-ACK: rare; mostly a middlebox")])
        .see(&["reset-after-accept", "ct-invalid-rst", "idle-timeout-middlebox"]),
    word("EPIPE", "Written to a connection that is over: RST was received, or this side shut its sending half down. Also raises SIGPIPE.").alias(&["Broken pipe", "errno 32"])
        .not("the first sign: the read before it said ECONNRESET or end of file").see(&["reset-after-accept"]),
    word("ECONNABORTED", "accept() took a connection that was already gone, or the kernel closed it.").alias(&["Software caused connection abort", "errno 103"]),
    word("EACCES", "Not permitted by a policy of this host.").alias(&["Permission denied", "errno 13"])
        .hints(&[("connect or send, at once", "a prohibit route, a security module, or a broadcast address without SO_BROADCAST"),
            ("connect over IPv6, one round trip", "ICMPv6 1/1, 1/5 or 1/6 came: a router refuses"),
            ("bind", "a port below net.ipv4.ip_unprivileged_port_start without CAP_NET_BIND_SERVICE")])
        .see(&["route-type-deny", "lsm-or-seccomp-deny", "port-bind-failure", "fw-reject"]),
    word("EPERM", "Operation not permitted: this host dropped the packet on its way out, or a privilege is missing.").alias(&["Operation not permitted", "errno 1"])
        .hints(&[("send on UDP or ping, at once", "a rule on output dropped it, the conntrack table is full, or a cgroup BPF program refused"),
            ("TCP connect, at once", "a cgroup BPF program or a security module; a netfilter drop does not give EPERM, it times out"),
            ("socket or setsockopt", "the capability is missing")])
        .see(&["fw-drop-outbound", "conntrack-full", "bpf-drop", "lsm-or-seccomp-deny"]),
    word("EINVAL", "Invalid argument.").alias(&["Invalid argument", "errno 22"])
        .hints(&[("connect or send, at once", "a blackhole route, or a source address that does not go with the device or scope"),
            ("connect to fe80::/10", "the zone is missing: write ADDR%DEV"),
            ("bind", "already bound, or a wrong address length")])
        .see(&["route-type-deny", "ipv6-scope-missing"]),
    word("EADDRNOTAVAIL", "The local address or port asked for cannot be had.").alias(&["Cannot assign requested address", "errno 99"])
        .hints(&[("connect, at once", "no free source port to that destination, or no usable source address of that family (IPv6 disabled, address tentative)"),
            ("bind", "the address is not on this host (yet): floating address, tentative IPv6; net.ipv4.ip_nonlocal_bind allows it")])
        .see(&["ephemeral-exhausted", "ipv6-broken", "dad-failed", "port-bind-failure"]),
    word("EADDRINUSE", "Somebody has that port already.").alias(&["Address already in use", "errno 98"])
        .hints(&[("bind or listen", "another socket, in TIME-WAIT too, holds address and port; SO_REUSEADDR helps against TIME-WAIT only"),
            ("connect", "the exact tuple exists already, for a bound source port")])
        .see(&["port-bind-failure"]),
    word("EMSGSIZE", "Larger than the path, the device or the protocol takes, and not to be fragmented.").alias(&["Message too long", "errno 90"])
        .not("loss: the kernel knows the MTU and says so").see(&["pmtu-reduced", "local-mtu", "mtu-below-ipv6-minimum"]),
    word("ENOBUFS", "No room: a device's queue or the neighbour table is full, or memory is short.").alias(&["No buffer space available", "errno 105"])
        .hints(&[("send", "the qdisc dropped it (only sockets with IP_RECVERR see that), or the table of neighbours is full"),
            ("netlink", "the reader was too slow and lost messages")])
        .see(&["egress-qdisc", "neigh-table-full"]),
    word("ENOMEM", "Memory is short.").alias(&["Cannot allocate memory", "errno 12"]).see(&["tcp-mem-exhausted"]),
    word("EMFILE", "This process has as many descriptors open as it may (RLIMIT_NOFILE).").alias(&["Too many open files", "errno 24"])
        .hints(&[("accept", "connections pile up in the accept queue: clients see timeouts, the server ListenOverflows")]).see(&["fd-limit-process"]),
    word("ENFILE", "The machine has as many files open as it may (fs.file-max).").alias(&["Too many open files in system", "errno 23"]).see(&["fd-limit-system"]),
    word("EAGAIN", "Nothing now, try again: a non-blocking call, or a time limit of the socket (SO_RCVTIMEO) ran out.").alias(&["EWOULDBLOCK", "Resource temporarily unavailable", "errno 11"])
        .hints(&[("connect on a Unix socket", "the listener's queue is full"), ("send", "the send buffer is full"), ("clone or fork", "the limit of processes is reached")])
        .not("a failure by itself").see(&["rlimit-nproc-or-threads"]),
    word("EINPROGRESS", "A non-blocking connect() has begun; the outcome comes later (SO_ERROR).").alias(&["Operation now in progress", "errno 115"]).not("a failure"),
    word("EALREADY", "A non-blocking connect() is still under way.").alias(&["Operation already in progress", "errno 114"]).not("a failure"),
    word("EISCONN", "The socket is connected already.").alias(&["Transport endpoint is already connected", "errno 106"]),
    word("ENOTCONN", "The socket is not connected (any more).").alias(&["Transport endpoint is not connected", "errno 107"]),
    word("ESHUTDOWN", "The socket's sending half was shut down.").alias(&["Cannot send after transport endpoint shutdown", "errno 108"]),
    word("EDESTADDRREQ", "A destination is needed: an unconnected socket, or a WireGuard peer without endpoint.").alias(&["Destination address required", "errno 89"]).see(&["wireguard"]),
    word("ENOKEY", "A key is missing: WireGuard has no peer whose AllowedIPs cover the destination.").alias(&["Required key not available", "errno 126"]).see(&["wireguard"]),
    word("ENETDOWN", "The device is down.").alias(&["Network is down", "errno 100"]).see(&["link-down"]),
    word("ENETRESET", "The network dropped the connection. Linux TCP does not use it: a failed keepalive is ETIMEDOUT there.").alias(&["Network dropped connection on reset", "errno 102"]),
    word("EHOSTDOWN", "ICMP 3/7 came: the target host is unknown to its router.").alias(&["Host is down", "errno 112"]),
    word("ENONET", "ICMP 3/8 came: obsolete, the source is isolated.").alias(&["Machine is not on the network", "errno 64"]),
    word("ENOPROTOOPT", "The option does not exist; on a connection: ICMP 3/2, the target does not speak the protocol.").alias(&["Protocol not available", "errno 92"]).see(&["fw-reject"]),
    word("EOPNOTSUPP", "This socket cannot do that; on a connection: ICMP 3/5, source route failed.").alias(&["Operation not supported", "ENOTSUP", "errno 95"]),
    word("EPROTO", "Protocol error: ICMP parameter problem came, or a message cannot be right.").alias(&["Protocol error", "errno 71"]),
    word("EPROTONOSUPPORT", "The kernel has no such protocol.").alias(&["Protocol not supported", "errno 93"]),
    word("EPROTOTYPE", "The protocol does not go with the socket's type.").alias(&["Protocol wrong type for socket", "errno 91"]),
    word("EAFNOSUPPORT", "The kernel does not have this address family: IPv6 was switched off at boot, or the address is of another family.").alias(&["Address family not supported by protocol", "errno 97"]).see(&["ipv6-broken", "dad-failed"]),
    word("ESOCKTNOSUPPORT", "The kernel has no such type of socket.").alias(&["Socket type not supported", "errno 94"]),
    word("EPFNOSUPPORT", "The kernel does not have this protocol family.").alias(&["Protocol family not supported", "errno 96"]),
    word("ENOTSOCK", "The descriptor is no socket.").alias(&["Socket operation on non-socket", "errno 88"]),
    word("EBADF", "The descriptor is not open: a fault of the program.").alias(&["Bad file descriptor", "errno 9"]),
    word("EFAULT", "A bad address in memory: a fault of the program.").alias(&["Bad address", "errno 14"]),
    word("EINTR", "A signal came; the call is to be made again.").alias(&["Interrupted system call", "errno 4"]).not("a failure"),
    word("EIO", "The device failed.").alias(&["Input/output error", "errno 5"]),
    word("ENODEV", "No such device: SO_BINDTODEVICE or a zone names one that is gone.").alias(&["No such device", "errno 19"]).see(&["dev-missing"]),
    word("ENXIO", "No such device or address: a zone (ADDR%DEV) names a device that does not exist.").alias(&["No such device or address", "errno 6"]),
    word("ENOENT", "It does not exist: the Unix socket's path, the namespace, the route to delete.").alias(&["No such file or directory", "errno 2"]),
    word("EEXIST", "It exists already: a route, an address, a rule.").alias(&["File exists", "errno 17"]),
    word("ESRCH", "No such entry: the route or the process is not there.").alias(&["No such process", "errno 3"]),
    word("ENOSYS", "The kernel does not have this call, or a sandbox hides it.").alias(&["Function not implemented", "errno 38"]).see(&["lsm-or-seccomp-deny"]),
    word("EREMOTEIO", "The remote end reported a failure.").alias(&["Remote I/O error", "errno 121"]),
    word("ECOMM", "Communication error on send.").alias(&["Communication error on send", "errno 70"]),
    word("ETOOMANYREFS", "Too many descriptors in flight over Unix sockets.").alias(&["Too many references: cannot splice", "errno 109"]),
    word("EXDEV", "In the kernel's routing: the reverse path check refused the source (rp_filter). Programs do not see it for packets that arrive.").alias(&["Invalid cross-device link", "errno 18"]).see(&["rp-filter"]),
    word("ELOOP", "A tunnel would send into itself, or too many links were followed.").alias(&["Too many levels of symbolic links", "errno 40"]),
];
