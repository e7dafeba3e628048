//! Sockets and processes for the tests of causes about services.

use netwhy_facts::process::{Process, Processes};
use netwhy_facts::socket::{Owner, SkMem, Socket, Sockets};
use netwhy_facts::{Family, Proto, Reading};

use super::{Scene, ip};

/// A listener of pid 100 `service`, with its queue and limit.
pub(crate) fn listener(local: &str, port: u16, waiting: u32, limit: u32) -> Socket {
    let local = ip(local);
    Socket {
        proto: Proto::Tcp,
        family: Family::of(&local),
        local,
        lport: port,
        remote: if local.is_ipv4() { ip("0.0.0.0") } else { ip("::") },
        rport: 0,
        state: "LISTEN".into(),
        ifindex: 0,
        inode: 1,
        uid: 0,
        cookie: 1,
        rqueue: waiting,
        wqueue: limit,
        v6only: if local.is_ipv4() { None } else { Some(false) },
        mark: None,
        cgroup_id: None,
        shutdown: None,
        congestion: None,
        mem: None,
        tcp: None,
        filter: None,
        owners: Reading::known(vec![Owner { pid: 100, comm: "service".into(), fd: 3 }], "test", 1),
        netns: 0,
    }
}

/// A bound UDP socket of pid 100 with bytes waiting and packets dropped.
pub(crate) fn udp_socket(local: &str, port: u16, waiting: u32, drops: u32) -> Socket {
    Socket {
        proto: Proto::Udp,
        state: "UNCONN".into(),
        wqueue: 0,
        mem: Some(SkMem { rmem_alloc: waiting, rcvbuf: 212_992, drops, ..SkMem::default() }),
        ..listener(local, port, waiting, 0)
    }
}

/// Process 100 `service` in a state.
pub(crate) fn process(state: char) -> Process {
    Process {
        pid: 100,
        comm: "service".into(),
        state,
        wchan: Reading::known("do_epoll_wait".into(), "test", 1),
        threads: vec![(state, "do_epoll_wait".into())],
        open_fds: Reading::known(10, "test", 1),
        nofile_soft: Reading::known(1024, "test", 1),
        nofile_hard: Reading::known(4096, "test", 1),
        netns: Reading::NotAsked,
        cgroup: Reading::NotAsked,
        cpu_ticks: 5,
        seccomp: Some(0),
        container: None,
    }
}

impl Scene {
    /// With these sockets, read before and after.
    pub(crate) fn sockets(self, sockets: Vec<Socket>) -> Self {
        let all = Sockets { sockets, ..Sockets::default() };
        self.with(all.clone()).after(all)
    }
    /// With this process, read before and after.
    pub(crate) fn process(self, p: Process) -> Self {
        self.with(Processes(vec![p.clone()])).after(Processes(vec![p]))
    }
    /// The attempt was connected and ended by the peer.
    pub(crate) fn closed_early(self, reset: bool, after_us: u64) -> Self {
        self.attempted(
            1,
            netwhy_facts::attempt::Phase::Established,
            netwhy_facts::attempt::Outcome::ClosedEarly { reset, after_us, bytes: 0 },
            vec![],
        )
    }
    /// A segment toward the target with these flags arrived here.
    pub(crate) fn tcp_in(self, flags: u8) -> Self {
        self.packet(true, false, flags)
    }
    /// A segment from the target with these flags left here.
    pub(crate) fn tcp_out(self, flags: u8) -> Self {
        self.packet(false, true, flags)
    }
}
