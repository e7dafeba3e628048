//! An answer of inet_diag: `struct inet_diag_msg` and its attributes (uapi `linux/inet_diag.h`).

use netwhy_facts::socket::{SkMem, Socket, TcpInfo};
use netwhy_facts::{Family, Proto, Reading};
use netwhy_wire::inet_diag::{Answer, attribute};
use netwhy_wire::netlink::Fixed;

/// The socket in an answer's payload; `None` if it is shorter than its structure or of no IP family.
#[must_use]
pub fn socket(proto: Proto, payload: &[u8]) -> Option<Socket> {
    from_answer(proto, &Answer::parse(payload).ok()?)
}

/// The same, of an answer read already.
#[must_use]
pub fn from_answer(proto: Proto, answer: &Answer<'_>) -> Option<Socket> {
    let state = state_word(answer.state());
    Some(Socket {
        proto,
        family: if answer.family() == 2 { Family::Inet } else { Family::Inet6 },
        lport: answer.sport(),
        rport: answer.dport(),
        local: answer.src(),
        remote: answer.dst(),
        ifindex: answer.ifindex(),
        cookie: answer.cookie(),
        rqueue: answer.rqueue(),
        wqueue: answer.wqueue(),
        uid: answer.uid(),
        inode: answer.inode().into(),
        v6only: answer.u8(attribute::SKV6ONLY).map(|on| on != 0),
        mark: answer.u32(attribute::MARK),
        cgroup_id: answer.u64(attribute::CGROUP_ID),
        shutdown: answer.u8(attribute::SHUTDOWN),
        congestion: answer.congestion().map(|name| String::from_utf8_lossy(name).into_owned()),
        mem: answer.structure(attribute::SKMEMINFO).and_then(mem),
        tcp: answer
            .get(attribute::INFO)
            .filter(|_| state != "LISTEN" && proto == Proto::Tcp)
            .and_then(TcpInfo::from_kernel)
            .map(Box::new),
        state,
        filter: None,
        owners: Reading::NotAsked,
        netns: 0,
    })
}

/// The word of ss(8) for `TCP_*`.
pub(crate) fn state_word(number: u8) -> String {
    let word = match number {
        1 => "ESTAB",
        2 => "SYN-SENT",
        // 12 is a request socket, counted as what it will be.
        3 | 12 => "SYN-RECV",
        4 => "FIN-WAIT-1",
        5 => "FIN-WAIT-2",
        6 => "TIME-WAIT",
        // 13 is how bound and not listening may be asked for; it is answered as 7.
        7 | 13 => "UNCONN",
        8 => "CLOSE-WAIT",
        9 => "LAST-ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        other => return format!("STATE-{other}"),
    };
    word.to_owned()
}

/// `SK_MEMINFO_*`, nine words; the last is of 4.8.
#[must_use]
pub fn mem(fixed: Fixed<'_>) -> Option<SkMem> {
    let word = |index: usize| fixed.u32(index * 4);
    Some(SkMem {
        rmem_alloc: word(0)?,
        rcvbuf: word(1)?,
        wmem_alloc: word(2)?,
        sndbuf: word(3)?,
        fwd_alloc: word(4)?,
        wmem_queued: word(5)?,
        optmem: word(6)?,
        backlog: word(7)?,
        drops: word(8).unwrap_or(0),
    })
}
