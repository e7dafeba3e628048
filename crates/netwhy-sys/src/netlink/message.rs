//! `struct nlmsghdr`, and the two messages every protocol has: error and done.

use super::Protocol;
use super::error::Refusal;
use crate::errno::Errno;

/// Length of `struct nlmsghdr`.
pub(super) const HEADER: usize = 16;
/// `NLMSG_NOOP`.
pub(super) const NOOP: u16 = 1;
/// `NLMSG_ERROR`, also an acknowledgement.
pub(super) const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub(super) const DONE: u16 = 3;
/// `NLMSG_OVERRUN`.
pub(super) const OVERRUN: u16 = 4;

/// `NLM_F_CAPPED`: the request is not repeated in the error.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow.
const ACK_TLVS: u16 = 0x200;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;
const NLMSGERR_ATTR_MISS_TYPE: u16 = 5;

/// One message of a datagram.
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) port: u32,
    pub(super) payload: &'a [u8],
}

/// The messages of a datagram; `Err(())` once if it ends in a broken one.
pub(super) fn messages(mut rest: &[u8]) -> impl Iterator<Item = Result<Message<'_>, ()>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = split(rest);
        let step = message.as_ref().map_or(rest.len(), |message| (HEADER + message.payload.len() + 3) & !3);
        rest = rest.get(step..).unwrap_or(&[]);
        Some(message.ok_or(()))
    })
}

fn split(bytes: &[u8]) -> Option<Message<'_>> {
    let length = u32_at(bytes, 0)? as usize;
    Some(Message {
        kind: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        sequence: u32_at(bytes, 8)?,
        port: u32_at(bytes, 12)?,
        payload: bytes.get(HEADER..length)?,
    })
}

/// Appends one message, padded.
pub(super) fn append(datagram: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, payload: &[u8]) {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    datagram.extend_from_slice(&length.to_ne_bytes());
    datagram.extend_from_slice(&kind.to_ne_bytes());
    datagram.extend_from_slice(&flags.to_ne_bytes());
    datagram.extend_from_slice(&sequence.to_ne_bytes());
    datagram.extend_from_slice(&[0; 4]);
    datagram.extend_from_slice(payload);
    datagram.resize(datagram.len().next_multiple_of(4), 0);
}

/// `nl_pid` of a `sockaddr_nl`; not 0, the kernel's, if there is no address.
pub(super) fn port_of(address: &[u8]) -> u32 {
    u32_at(address, 4).unwrap_or(u32::MAX)
}

/// What the kernel says at the end of an exchange: fine, or a refusal. `None`: too short to say anything.
///
/// `NLMSG_ERROR` holds an errno, the header of the request and, unless capped, its body; `NLMSG_DONE` holds
/// an errno alone (a dump that fails says so there and nowhere else). Extended error attributes follow both.
pub(super) fn outcome(
    message: &Message<'_>,
    protocol: Protocol,
    request_kind: u16,
    request: &[u8],
) -> Option<Result<(), Refusal>> {
    let number = match u32_at(message.payload, 0) {
        Some(bits) => bits as i32,
        None if message.kind == DONE => 0,
        None => return None,
    };
    if number == 0 {
        return Some(Ok(()));
    }
    let body = match message.kind {
        ERROR if message.flags & CAPPED != 0 => 4 + HEADER,
        ERROR => 4 + u32_at(message.payload, 4).map_or(HEADER, |length| (length as usize).max(HEADER)),
        _ => 4,
    };
    let mut refusal = Refusal {
        protocol,
        kind: request_kind,
        errno: Errno::new(number),
        message: None,
        offset: None,
        attribute: None,
        missing: None,
    };
    if message.flags & ACK_TLVS != 0 {
        let start = body.saturating_add(3) & !3;
        for (kind, value) in attributes(message.payload.get(start..).unwrap_or(&[])) {
            match kind {
                NLMSGERR_ATTR_MSG => {
                    let text = value.split(|&byte| byte == 0).next().unwrap_or(&[]);
                    refusal.message = Some(String::from_utf8_lossy(text).into_owned());
                }
                NLMSGERR_ATTR_OFFS => refusal.offset = u32_at(value, 0),
                NLMSGERR_ATTR_MISS_TYPE => refusal.missing = u32_at(value, 0),
                _ => {}
            }
        }
    }
    // The offset counts from the request's header; the two bytes after the length are the type.
    refusal.attribute = refusal
        .offset
        .and_then(|offset| (offset as usize).checked_sub(HEADER))
        .and_then(|offset| u16_at(request, offset.checked_add(2)?))
        .map(|kind| kind & 0x3fff);
    Some(Err(refusal))
}

fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let kind = u16_at(rest, 2)? & 0x3fff;
        let value = rest.get(4..length)?;
        rest = rest.get((length + 3) & !3..).unwrap_or(&[]);
        Some((kind, value))
    })
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(offset..)?.first_chunk().copied()?))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(offset..)?.first_chunk().copied()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, payload: &[u8]) -> Message<'_> {
        Message { kind, flags, sequence: 1, port: 1, payload }
    }

    fn said(message: &Message<'_>, request: &[u8]) -> Option<Result<(), Refusal>> {
        outcome(message, Protocol::Route, 26, request)
    }

    #[test]
    fn a_capped_error_names_the_attribute_at_its_offset() {
        let mut payload = (-22i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&[0; HEADER]);
        payload.extend_from_slice(&[11, 0, 1, 0, b'n', b'o', b' ', b'w', b'a', b'y', 0, 0]);
        payload.extend_from_slice(&[8, 0, 2, 0, 28, 0, 0, 0]);
        let mut request = vec![0; 12];
        request.extend_from_slice(&[8, 0, 5, 0x80, 1, 2, 3, 4]);
        let refusal = said(&message(ERROR, CAPPED | ACK_TLVS, &payload), &request).unwrap().unwrap_err();
        assert_eq!(refusal.errno, Errno::EINVAL);
        assert_eq!(refusal.message.as_deref(), Some("no way"));
        assert_eq!((refusal.offset, refusal.attribute), (Some(28), Some(5)));
        assert_eq!(
            refusal.to_string(),
            "netlink Route message 26: EINVAL (Invalid argument): no way (attribute 5 at byte 28)"
        );
    }

    #[test]
    fn a_failed_dump_says_so_in_its_done_message() {
        let payload = (-2i32).to_ne_bytes();
        let refusal = said(&message(DONE, 0, &payload), &[]).unwrap().unwrap_err();
        assert_eq!(refusal.errno, Errno::ENOENT);
        assert_eq!(said(&message(DONE, 0, &[]), &[]), Some(Ok(())));
        assert_eq!(said(&message(ERROR, 0, &[0, 0]), &[]), None);
    }

    #[test]
    fn an_uncapped_error_repeats_the_request_before_its_attributes() {
        let mut payload = (-1i32).to_ne_bytes().to_vec();
        payload.extend_from_slice(&20u32.to_ne_bytes());
        payload.extend_from_slice(&[0; 12 + 4]);
        payload.extend_from_slice(&[6, 0, 1, 0, b'x', 0]);
        let refusal = said(&message(ERROR, ACK_TLVS, &payload), &[]).unwrap().unwrap_err();
        assert_eq!(refusal.message.as_deref(), Some("x"));
    }

    #[test]
    fn any_bytes_end_without_panic() {
        let mut state = 0x1234_5678_u32;
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..state % 80)
                .map(|_| {
                    state ^= state << 13;
                    state ^= state >> 17;
                    state ^= state << 5;
                    if state & 0x300 == 0 { state as u8 } else { (state % 24) as u8 }
                })
                .collect();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            for one in messages(&bytes).flatten() {
                let _ = said(&one, &bytes);
            }
            let _ = said(&message(ERROR, ACK_TLVS, &bytes), &bytes);
            let _ = said(&message(DONE, ACK_TLVS | CAPPED, &bytes), &bytes);
        }
    }
}
