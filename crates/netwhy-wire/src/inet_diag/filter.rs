//! Filters of sockets, and the program the kernel runs for them (`INET_DIAG_REQ_BYTECODE`).
//!
//! A program is a run of instructions of four bytes (code, `yes`, `no`) with arguments. An instruction that
//! holds goes on `yes` bytes further, one that does not `no` bytes. A socket is let through if the program
//! ends exactly at its end, and not if it jumps four bytes beyond. The kernel takes a program only if every
//! jump leads forward to an instruction's start, so each operator is assembled from parts that obey the same
//! rule: a part that holds runs off its end, one that does not jumps four bytes past its end.

use std::net::IpAddr;

/// What a socket must be to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All of them; none given lets every socket through.
    All(Vec<Filter>),
    /// One of them; none given lets no socket through.
    Any(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A port.
    Port(End, Compare, u16),
    /// An address in a prefix of `len` bits. An IPv4 prefix also matches IPv6 sockets that speak IPv4.
    Address {
        /// Which end.
        end: End,
        /// The prefix.
        net: IpAddr,
        /// Its length in bits; 0 asks for nothing but the family.
        len: u8,
    },
    /// The local port was chosen by the kernel.
    AutoBound,
    /// Bound to this device (index); 0 for bound to none.
    Device(u32),
    /// `mark & mask == value & mask`. Needs CAP_NET_ADMIN, since Linux 4.17.
    Mark {
        /// The mark.
        value: u32,
        /// The bits that count.
        mask: u32,
    },
    /// In this cgroup (v2 id, the inode of its directory). Since Linux 5.9.
    Cgroup(u64),
}

/// Which end of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Ours.
    Local,
    /// The peer's.
    Remote,
}

/// A comparison of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the usual six
pub enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// The program would be larger than a jump can reach.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the socket filter takes {bytes} bytes, more than the {} the kernel's jumps reach", LIMIT)]
pub struct TooLarge {
    /// Its size.
    pub bytes: usize,
}

/// `no` has 16 bits, and a rejection jumps four bytes past the end.
const LIMIT: usize = u16::MAX as usize - 7;

const JMP: u8 = 1;
const S_GE: u8 = 2;
const S_LE: u8 = 3;
const D_GE: u8 = 4;
const D_LE: u8 = 5;
const AUTO: u8 = 6;
const S_COND: u8 = 7;
const D_COND: u8 = 8;
const DEV_COND: u8 = 9;
const MARK_COND: u8 = 10;
const S_EQ: u8 = 11;
const D_EQ: u8 = 12;
const CGROUP_COND: u8 = 13;

/// Bytes of an instruction without arguments.
const OP: usize = 4;

impl Filter {
    /// The program, empty if every socket passes.
    pub fn program(&self) -> Result<Vec<u8>, TooLarge> {
        let program = self.assemble();
        let bytes = program.iter().map(Op::size).sum();
        if bytes > LIMIT {
            return Err(TooLarge { bytes });
        }
        let mut out = Vec::with_capacity(bytes);
        for op in &program {
            out.push(op.code);
            // The longest instruction has 28 bytes, and no jump goes beyond `LIMIT` + 4.
            out.push(u8::try_from(op.size()).unwrap_or(u8::MAX));
            out.extend_from_slice(&u16::try_from(op.no).unwrap_or(u16::MAX).to_ne_bytes());
            out.extend_from_slice(&op.arguments);
        }
        Ok(out)
    }

    fn assemble(&self) -> Vec<Op> {
        match self {
            Filter::All(parts) => all(parts.iter().map(Filter::assemble).collect()),
            Filter::Any(parts) => any(parts.iter().map(Filter::assemble).collect()),
            Filter::Not(part) => not(part.assemble()),
            Filter::Port(end, compare, port) => self::port(*end, *compare, *port),
            Filter::Address { end, net, len } => address(*end, *net, *len),
            Filter::AutoBound => vec![Op::new(AUTO, Vec::new())],
            Filter::Device(index) => vec![Op::new(DEV_COND, index.to_ne_bytes().to_vec())],
            Filter::Mark { value, mask } => {
                vec![Op::new(MARK_COND, [(value & mask).to_ne_bytes(), mask.to_ne_bytes()].concat())]
            }
            Filter::Cgroup(id) => vec![Op::new(CGROUP_COND, id.to_ne_bytes().to_vec())],
        }
    }
}

/// An instruction. When it holds it goes on to the next one.
#[derive(Debug, Clone)]
struct Op {
    code: u8,
    /// Where to go otherwise, counted from its own start.
    no: usize,
    arguments: Vec<u8>,
}

impl Op {
    /// An instruction that ends its part in failure when it does not hold.
    fn new(code: u8, arguments: Vec<u8>) -> Self {
        Op { code, no: OP + arguments.len() + OP, arguments }
    }

    /// A jump of `bytes` from its own start.
    fn jump(bytes: usize) -> Self {
        Op { code: JMP, no: bytes, arguments: Vec::new() }
    }

    fn size(&self) -> usize {
        OP + self.arguments.len()
    }
}

fn size(part: &[Op]) -> usize {
    part.iter().map(Op::size).sum()
}

/// One part after the other; the failures of each are led to the failure of the whole.
fn all(parts: Vec<Vec<Op>>) -> Vec<Op> {
    let mut after: usize = parts.iter().map(|part| size(part)).sum();
    let mut out = Vec::new();
    for mut part in parts {
        let own = size(&part);
        after -= own;
        let mut left = own;
        for op in &mut part {
            // Past the part's end means failure; anything else stays inside.
            if op.no > left {
                op.no += after;
            }
            left -= op.size();
        }
        out.append(&mut part);
    }
    out
}

/// Each part but the last is followed by a jump to the whole's end, taken when it holds; when it does not,
/// its own failure leads past that jump, to the next part.
fn any(parts: Vec<Vec<Op>>) -> Vec<Op> {
    let Some(last) = parts.len().checked_sub(1) else { return vec![Op::jump(2 * OP)] };
    let mut after: usize = parts.iter().map(|part| size(part) + OP).sum();
    let mut out = Vec::new();
    for (index, mut part) in parts.into_iter().enumerate() {
        after -= size(&part) + OP;
        out.append(&mut part);
        if index != last {
            // The parts that follow count one jump too many: the last has none.
            out.push(Op::jump(after));
        }
    }
    out
}

/// When the part holds, a jump to failure; its own failure leads past that jump, to the end.
fn not(mut part: Vec<Op>) -> Vec<Op> {
    part.push(Op::jump(2 * OP));
    part
}

fn port(end: End, compare: Compare, port: u16) -> Vec<Op> {
    let (ge, le, eq) = match end {
        End::Local => (S_GE, S_LE, S_EQ),
        End::Remote => (D_GE, D_LE, D_EQ),
    };
    // The argument is a second instruction whose `no` holds the port.
    let op = |code, port: u16| {
        let [low, high] = port.to_ne_bytes();
        vec![Op::new(code, vec![0, 0, low, high])]
    };
    match compare {
        Compare::Eq => op(eq, port),
        Compare::Ne => not(op(eq, port)),
        Compare::Ge => op(ge, port),
        Compare::Le => op(le, port),
        Compare::Gt => not(op(le, port)),
        Compare::Lt => not(op(ge, port)),
    }
}

fn address(end: End, net: IpAddr, len: u8) -> Vec<Op> {
    let (family, bits, octets) = match net {
        IpAddr::V4(four) => (2, 32, four.octets().to_vec()),
        IpAddr::V6(six) => (10, 128, six.octets().to_vec()),
    };
    // struct inet_diag_hostcond: family, prefix length, padding, port (-1 for any), address.
    let mut arguments = vec![family, len.min(bits), 0, 0];
    arguments.extend_from_slice(&(-1i32).to_ne_bytes());
    arguments.extend_from_slice(&octets);
    vec![Op::new(if end == End::Local { S_COND } else { D_COND }, arguments)]
}

#[cfg(test)]
mod tests;
