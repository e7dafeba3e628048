//! BPF programs for tests: two instructions that return a number.

use std::os::fd::{AsFd, AsRawFd};

use netwhy_sys::bpf::{AttachType, Instruction, Program, ProgramSpec, ProgramType};
use netwhy_sys::netlink::{NLM_F_CREATE, NLM_F_EXCL, Protocol, Socket};
use netwhy_wire::netlink::Builder;

/// A program that returns `verdict`; `None`, with the reason printed, where programs cannot be loaded.
pub(crate) fn program(kind: ProgramType, name: &str, verdict: i32) -> Option<Program> {
    program_for(kind, None, name, verdict)
}

/// As [`program`], for a kind that must know where it goes.
pub(crate) fn program_for(
    kind: ProgramType,
    attach: Option<AttachType>,
    name: &str,
    verdict: i32,
) -> Option<Program> {
    // BPF_ALU64 | BPF_MOV | BPF_K; BPF_JMP | BPF_EXIT.
    let instructions = [Instruction::new(0xb7, 0, 0, 0, verdict), Instruction::new(0x95, 0, 0, 0, 0)];
    let spec = ProgramSpec { name, attach, ..ProgramSpec::new(kind, &instructions) };
    match Program::load(&spec) {
        Ok(program) => Some(program),
        Err(error) => {
            println!("skipped: cannot load a BPF program: {error}");
            None
        }
    }
}

/// Attaches a direct-action filter to a clsact hook, as tc(8) would.
pub(crate) fn attach_filter(ifindex: u32, parent: u32, program: &Program) {
    let mut header = [0; 20];
    header[4..8].copy_from_slice(&ifindex.to_ne_bytes());
    header[12..16].copy_from_slice(&parent.to_ne_bytes());
    // Preference 5, every protocol (ETH_P_ALL in network order).
    let info = 5_u32 << 16 | u32::from(3_u16.to_be());
    header[16..20].copy_from_slice(&info.to_ne_bytes());
    let mut request = Builder::with_header(&header);
    request.str(1, "bpf").nest(2, |options| {
        options.u32(6, program.as_fd().as_raw_fd() as u32).str(7, "by-test").u32(8, 1);
    });
    let mut socket = Socket::open(Protocol::Route).unwrap();
    socket.ack(44, NLM_F_CREATE | NLM_F_EXCL, &request.finish().unwrap()).unwrap();
}
