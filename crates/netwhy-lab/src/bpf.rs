//! Tiny BPF programs that drop one TCP port, and the hooks they hang at.

use netwhy_sys::bpf::{
    AttachType, Instruction, Link, LinkTarget, LoadError, Program, ProgramSpec, ProgramType,
};

use crate::error::{LabError, Result};
use crate::node::Node;

/// Where a program runs, which decides what it is given and what its answers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Before the stack.
    Xdp,
    /// At a device, after or before the stack.
    Tc,
    /// At a control group.
    Cgroup,
    /// At a netfilter hook.
    Netfilter,
}

// Operation codes (uapi linux/bpf_common.h, linux/bpf.h): class, size and mode, or class, source and operation.
const LOAD_WORD: u8 = 0x61;
const LOAD_HALF: u8 = 0x69;
const LOAD_BYTE: u8 = 0x71;
const MOVE: u8 = 0xbf;
const SET: u8 = 0xb7;
const ADD: u8 = 0x07;
const AND: u8 = 0x57;
const IF_GREATER: u8 = 0x2d;
const IF_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// Drops IPv4 TCP to `port`, passes everything else. At netfilter hooks it drops everything.
fn instructions(place: Place, port: u16) -> Vec<Instruction> {
    let one = Instruction::new;
    // Where the context keeps the packet's start and end, where its IP header starts, drop and pass.
    let (start, end, ip, drop, pass) = match place {
        Place::Xdp => (0, 4, 14, 1, 2),
        Place::Tc => (76, 80, 14, 2, 0),
        Place::Cgroup => (76, 80, 0, 0, 1),
        Place::Netfilter => return vec![one(SET, 0, 0, 0, 0), one(EXIT, 0, 0, 0, 0)],
    };
    let mut code = vec![
        one(LOAD_WORD, 2, 1, start, 0),
        one(LOAD_WORD, 3, 1, end, 0),
        one(MOVE, 4, 2, 0, 0),
        one(ADD, 4, 0, 0, i32::from(ip) + 24),
    ];
    // Jumps to "pass" get their distance when the length is known.
    let mut tests = vec![one(IF_GREATER, 4, 3, 0, 0)];
    let mut check = |load: u8, offset: i16, mask: i32, value: i32| {
        tests.push(one(load, 5, 2, offset, 0));
        if mask != 0 {
            tests.push(one(AND, 5, 0, 0, mask));
        }
        tests.push(one(IF_NOT_EQUAL, 5, 0, 0, value));
    };
    // Version 4 and a header of 20 bytes, TCP, the destination port.
    check(LOAD_BYTE, ip, 0xff, 0x45);
    check(LOAD_BYTE, ip + 9, 0, 6);
    check(LOAD_HALF, ip + 22, 0, i32::from(port.to_be()));
    let count = tests.len();
    for (index, test) in tests.iter().enumerate() {
        let distance = i16::try_from(count - index + 1).unwrap_or(0);
        let jumps = test.code == IF_GREATER || test.code == IF_NOT_EQUAL;
        let offset = if jumps { distance } else { test.offset };
        code.push(one(test.code, test.destination(), test.source(), offset, test.immediate));
    }
    code.extend([one(SET, 0, 0, 0, drop), one(EXIT, 0, 0, 0, 0)]);
    code.extend([one(SET, 0, 0, 0, pass), one(EXIT, 0, 0, 0, 0)]);
    code
}

/// Loads a program that drops TCP to `port` at `place`.
pub fn dropper(place: Place, port: u16) -> Result<Program> {
    let code = instructions(place, port);
    let (kind, attach) = match place {
        Place::Xdp => (ProgramType::XDP, None),
        Place::Tc => (ProgramType::SCHED_CLS, None),
        Place::Cgroup => (ProgramType::CGROUP_SKB, Some(AttachType::CGROUP_INET_EGRESS)),
        Place::Netfilter => (ProgramType::NETFILTER, Some(AttachType::NETFILTER)),
    };
    let mut spec = ProgramSpec::new(kind, &code);
    spec.name = "lab_drop";
    spec.attach = attach;
    Program::load(&spec).map_err(|refused: LoadError| {
        if refused.error.is_denied() || refused.error.is_unsupported() {
            LabError::Unsupported(format!("BPF programs of this kind cannot be loaded: {refused}"))
        } else {
            LabError::Unexpected(refused.to_string())
        }
    })
}

impl Node {
    /// Links a program to a device's tcx point; it is gone when the link is dropped.
    pub fn tcx(&mut self, device: &str, egress: bool, program: &Program) -> Result<Link> {
        let ifindex = self.index(device)?;
        let attach = if egress { AttachType::TCX_EGRESS } else { AttachType::TCX_INGRESS };
        self.inside(|| Ok(Link::create(program, LinkTarget::Tcx { ifindex, attach })?))
    }

    /// Links a program to an IPv4 netfilter hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub fn netfilter_bpf(&mut self, hook: u32, program: &Program) -> Result<Link> {
        let target = LinkTarget::Netfilter { family: 2, hook, priority: 10 };
        self.inside(|| Ok(Link::create(program, target)?))
    }
}
