//! An answer about an IP socket: `struct inet_diag_msg` and its attributes, not copied.

use std::net::IpAddr;

use super::ANSWER;
use crate::netlink::{AttributeError, Attributes, Fixed};

/// Attributes of an answer: `INET_DIAG_*` (uapi `linux/inet_diag.h`).
#[allow(missing_docs)] // each is the kernel's name
pub mod attribute {
    pub const MEMINFO: usize = 1;
    pub const INFO: usize = 2;
    pub const VEGASINFO: usize = 3;
    pub const CONG: usize = 4;
    pub const TOS: usize = 5;
    pub const TCLASS: usize = 6;
    pub const SKMEMINFO: usize = 7;
    pub const SHUTDOWN: usize = 8;
    pub const DCTCPINFO: usize = 9;
    pub const PROTOCOL: usize = 10;
    pub const SKV6ONLY: usize = 11;
    pub const LOCALS: usize = 12;
    pub const PEERS: usize = 13;
    pub const MARK: usize = 15;
    pub const BBRINFO: usize = 16;
    pub const CLASS_ID: usize = 17;
    pub const MD5SIG: usize = 18;
    pub const ULP_INFO: usize = 19;
    pub const CGROUP_ID: usize = 21;
    pub const SOCKOPT: usize = 22;
}

/// More than the kernel has attributes.
const SLOTS: usize = 32;

/// An answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    payload: &'a [u8],
    slots: [&'a [u8]; SLOTS],
    present: u32,
}

/// An answer that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// Shorter than its structure.
    #[error("inet_diag_msg: {got} bytes, the structure has {ANSWER}")]
    Short {
        /// Bytes there are.
        got: usize,
    },
    /// Of a family that has no ports.
    #[error("inet_diag_msg: idiag_family is {0}, neither AF_INET nor AF_INET6")]
    Family(u8),
    /// An attribute is broken.
    #[error("inet_diag_msg: {0}")]
    Attribute(#[from] AttributeError),
}

impl<'a> Answer<'a> {
    /// Reads a message's payload. Attributes this build does not know are skipped.
    pub fn parse(payload: &'a [u8]) -> Result<Self, AnswerError> {
        if payload.len() < ANSWER {
            return Err(AnswerError::Short { got: payload.len() });
        }
        let mut answer = Answer { payload, slots: [&[]; SLOTS], present: 0 };
        if !matches!(answer.family(), 2 | 10) {
            return Err(AnswerError::Family(answer.family()));
        }
        for attribute in Attributes::after(payload, ANSWER) {
            let attribute = attribute?;
            if let Some(slot) = answer.slots.get_mut(usize::from(attribute.kind)) {
                *slot = attribute.payload;
                answer.present |= 1 << attribute.kind;
            }
        }
        Ok(answer)
    }

    fn fixed(&self) -> Fixed<'a> {
        Fixed(self.payload)
    }

    fn byte(&self, at: usize) -> u8 {
        self.payload.get(at).copied().unwrap_or(0)
    }

    fn word(&self, at: usize) -> u32 {
        self.fixed().u32(at).unwrap_or(0)
    }

    /// AF_INET (2) or AF_INET6 (10).
    #[must_use]
    pub fn family(&self) -> u8 {
        self.byte(0)
    }

    /// `TCP_*`, as a number.
    #[must_use]
    pub fn state(&self) -> u8 {
        self.byte(1)
    }

    /// Which timer runs: 0 none, 1 retransmission or loss probe, 2 keepalive, 3 TIME-WAIT, 4 zero window probe.
    #[must_use]
    pub fn timer(&self) -> u8 {
        self.byte(2)
    }

    /// Retransmissions or probes so far for that timer.
    #[must_use]
    pub fn retransmits(&self) -> u8 {
        self.byte(3)
    }

    /// Local port.
    #[must_use]
    pub fn sport(&self) -> u16 {
        self.fixed().be16(4).unwrap_or(0)
    }

    /// Remote port.
    #[must_use]
    pub fn dport(&self) -> u16 {
        self.fixed().be16(6).unwrap_or(0)
    }

    /// Local address.
    #[must_use]
    pub fn src(&self) -> IpAddr {
        self.address(8)
    }

    /// Remote address.
    #[must_use]
    pub fn dst(&self) -> IpAddr {
        self.address(24)
    }

    fn address(&self, at: usize) -> IpAddr {
        match self.family() {
            2 => IpAddr::from(self.fixed().array::<4>(at).unwrap_or_default()),
            _ => IpAddr::from(self.fixed().array::<16>(at).unwrap_or_default()),
        }
    }

    /// Device the socket is bound to; 0 for none.
    #[must_use]
    pub fn ifindex(&self) -> u32 {
        self.word(40)
    }

    /// The kernel's name for the socket.
    #[must_use]
    pub fn cookie(&self) -> u64 {
        u64::from(self.word(44)) | u64::from(self.word(48)) << 32
    }

    /// Milliseconds until the timer fires.
    #[must_use]
    pub fn expires(&self) -> u32 {
        self.word(52)
    }

    /// Receive queue: bytes, or connections that wait for accept().
    #[must_use]
    pub fn rqueue(&self) -> u32 {
        self.word(56)
    }

    /// Send queue: bytes, or a listener's limit.
    #[must_use]
    pub fn wqueue(&self) -> u32 {
        self.word(60)
    }

    /// Owner's user id.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.word(64)
    }

    /// Inode in sockfs; 0 if no file holds the socket.
    #[must_use]
    pub fn inode(&self) -> u32 {
        self.word(68)
    }

    /// An attribute's bytes; see [`attribute`].
    #[must_use]
    pub fn get(&self, kind: usize) -> Option<&'a [u8]> {
        let payload = self.slots.get(kind).copied()?;
        (self.present >> kind & 1 == 1).then_some(payload)
    }

    /// An attribute as a structure.
    #[must_use]
    pub fn structure(&self, kind: usize) -> Option<Fixed<'a>> {
        self.get(kind).map(Fixed)
    }

    /// An attribute of one byte.
    #[must_use]
    pub fn u8(&self, kind: usize) -> Option<u8> {
        self.get(kind)?.first().copied()
    }

    /// An attribute of four bytes.
    #[must_use]
    pub fn u32(&self, kind: usize) -> Option<u32> {
        self.structure(kind)?.u32(0)
    }

    /// An attribute of eight bytes.
    #[must_use]
    pub fn u64(&self, kind: usize) -> Option<u64> {
        self.structure(kind)?.u64(0)
    }

    /// The name of the congestion control.
    #[must_use]
    pub fn congestion(&self) -> Option<&'a [u8]> {
        self.get(attribute::CONG)?.split(|&byte| byte == 0).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::Builder;

    fn payload(family: u8) -> Vec<u8> {
        let mut header = vec![0; ANSWER];
        header[..4].copy_from_slice(&[family, 6, 3, 2]);
        header[4..8].copy_from_slice(&[0, 80, 0x12, 0x34]);
        header[8..12].copy_from_slice(&[192, 0, 2, 1]);
        header[52..56].copy_from_slice(&5000u32.to_ne_bytes());
        let mut builder = Builder::with_header(&header);
        builder.bytes(attribute::CONG as u16, b"cubic\0").u32(attribute::MARK as u16, 7).u32(999, 1);
        builder.finish().unwrap()
    }

    #[test]
    fn fields_stand_where_the_kernel_puts_them() {
        let bytes = payload(2);
        let answer = Answer::parse(&bytes).unwrap();
        assert_eq!((answer.state(), answer.timer(), answer.retransmits(), answer.expires()), (6, 3, 2, 5000));
        assert_eq!(
            (answer.sport(), answer.dport(), answer.src().to_string()),
            (80, 0x1234, "192.0.2.1".into())
        );
        assert_eq!(answer.congestion(), Some(&b"cubic"[..]));
        assert_eq!((answer.u32(attribute::MARK), answer.u8(attribute::TOS)), (Some(7), None));
    }

    #[test]
    fn what_is_no_answer_is_named() {
        assert_eq!(Answer::parse(&[2; 71]).unwrap_err(), AnswerError::Short { got: 71 });
        assert_eq!(Answer::parse(&payload(1)).unwrap_err(), AnswerError::Family(1));
        let mut cut = payload(10);
        cut.truncate(ANSWER + 6);
        assert!(Answer::parse(&cut).unwrap_err().to_string().contains("attribute 4"));
    }
}
