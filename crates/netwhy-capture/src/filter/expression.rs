//! An expression of pcap-filter(7) as the kernel's program.

use netwhy_wire::pcap::{self, PcapError, code};

use super::Instruction;

/// Why an expression gives no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// It is wrong.
    #[error(transparent)]
    Syntax(#[from] PcapError),
    /// It is too large.
    #[error(transparent)]
    TooLarge(#[from] code::TooLarge),
}

/// The program for what `text` says, as tcpdump understands it; of each packet it lets through, at most `snaplen`
/// bytes are delivered. It counts from the network header: lengths do not include a link-layer header.
pub fn expression(text: &str, snaplen: u32) -> Result<Vec<Instruction>, ExpressionError> {
    let program = code::program(&pcap::parse(text)?, snaplen)?;
    let one = |i: code::Insn| Instruction { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Ok(program.into_iter().map(one).collect())
}
