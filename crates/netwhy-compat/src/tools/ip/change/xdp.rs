//! `ip link set dev DEV xdp off | obj FILE [section NAME] | pinned PATH`.

use std::os::fd::{AsFd, AsRawFd};

use netwhy_sys::bpf::{Program, ProgramSpec, ProgramType};
use netwhy_wire::elf::Elf;
use netwhy_wire::netlink::Builder;

use crate::iproute::WRONG;
use crate::iproute::words::Words;
use crate::session::ToolError;

const IFLA_XDP: u16 = 43;
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;

/// Writes `IFLA_XDP`; returns the program, which has to live until the message was sent.
pub(super) fn words(
    message: &mut Builder,
    mode: &str,
    words: &mut Words<'_>,
) -> Result<Option<Program>, ToolError> {
    // XDP_FLAGS_SKB_MODE, DRV_MODE, HW_MODE
    let flags: u32 = match mode {
        "xdpgeneric" => 2,
        "xdpdrv" => 4,
        "xdpoffload" => 8,
        _ => 0,
    };
    let program = match words.value()? {
        "off" | "none" => None,
        "object" | "obj" => {
            let path = words.value()?.to_owned();
            let mut section = "prog".to_owned();
            if words.peek().is_some_and(|word| matches!(word, "section" | "sec")) {
                words.next();
                words.value()?.clone_into(&mut section);
            }
            if words.peek() == Some("verbose") {
                words.next();
            }
            Some(load(&path, &section)?)
        }
        "pinned" => {
            return Err(ToolError::Refused {
                what: format!("ip link set {mode} pinned"),
                why: "netwhy pins no programs and opens none".to_owned(),
                code: WRONG,
            });
        }
        other => return Err(ToolError::usage(format!("What is \"{other}\"?"), WRONG)),
    };
    let fd = program.as_ref().map_or(-1, |program| program.as_fd().as_raw_fd());
    message.nest(IFLA_XDP, |inside| {
        inside.i32(IFLA_XDP_FD, fd);
        if flags != 0 {
            inside.u32(IFLA_XDP_FLAGS, flags);
        }
    });
    Ok(program)
}

/// Loads the program of a section of an object file. `prog`, the default, falls back to `xdp`.
fn load(path: &str, section: &str) -> Result<Program, ToolError> {
    let failed = |text: String| ToolError::failed(text, 1);
    let bytes = std::fs::read(path).map_err(|error| {
        failed(format!("Error opening object {path}: {}", netwhy_sys::Errno::from(&error).description()))
    })?;
    let elf = Elf::read(&bytes).map_err(|error| failed(format!("{path}: {error}")))?;
    let name = if section == "prog" && elf.section("prog").is_none() { "xdp" } else { section };
    let code = elf.section(name).ok_or_else(|| failed(format!("{path} has no section \"{section}\"")))?;
    if elf.relocates(name) {
        return Err(ToolError::Refused {
            what: format!("{path}, section {name}"),
            why: "it uses maps or calls into other sections, which netwhy does not link".to_owned(),
            code: WRONG,
        });
    }
    let instructions: Vec<netwhy_sys::bpf::Instruction> =
        code.chunks_exact(8).filter_map(instruction).collect();
    let license =
        elf.section("license").map(|bytes| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned());
    let license = license.unwrap_or_default();
    let mut spec = ProgramSpec::new(ProgramType::XDP, &instructions);
    spec.name = "xdp";
    spec.license = &license;
    Program::load(&spec).map_err(|refused| failed(refused.to_string()))
}

/// `struct bpf_insn`.
fn instruction(bytes: &[u8]) -> Option<netwhy_sys::bpf::Instruction> {
    let [code, registers, o0, o1, i0, i1, i2, i3] = *bytes else { return None };
    Some(netwhy_sys::bpf::Instruction::new(
        code,
        registers & 0xf,
        registers >> 4,
        i16::from_ne_bytes([o0, o1]),
        i32::from_ne_bytes([i0, i1, i2, i3]),
    ))
}
