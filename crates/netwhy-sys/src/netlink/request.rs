//! Single requests and nfnetlink batches.

use std::os::fd::AsFd;
use std::time::Instant;

use super::message::{self, DONE, ERROR, NOOP, OVERRUN};
use super::{BatchError, NLM_F_ACK, NLM_F_REQUEST, NetlinkError, Refusal, Socket};
use crate::fd;

/// `NFNL_MSG_BATCH_BEGIN` (uapi `linux/netfilter/nfnetlink.h`).
const BATCH_BEGIN: u16 = 16;
/// `NFNL_MSG_BATCH_END`.
const BATCH_END: u16 = 17;

/// One message of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its type.
    pub kind: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

/// One message to send in a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchMessage {
    /// Its type, for nfnetlink `subsystem << 8 | message`.
    pub kind: u16,
    /// Flags beside `NLM_F_REQUEST`.
    pub flags: u16,
    /// What follows the header.
    pub payload: Vec<u8>,
}

impl Socket {
    /// Asks for one thing: the messages the kernel answers with before it acknowledges.
    ///
    /// `Truncated` means that the answer is gone, not that the request was not carried out; repeat a
    /// question, not an order.
    pub fn request(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Vec<Reply>, NetlinkError> {
        let protocol = self.protocol;
        let sequence = self.send(kind, flags | NLM_F_ACK, payload)?;
        let mut replies = Vec::new();
        let deadline = Instant::now() + self.timeout;
        loop {
            let length = self.receive(deadline)?;
            for one in message::messages(self.buffer.get(..length).unwrap_or(&[])) {
                let malformed = |what| NetlinkError::Malformed { protocol, what };
                let one = one.map_err(|()| malformed("a message is longer than its datagram"))?;
                if one.sequence != sequence || (one.port != 0 && one.port != self.port) {
                    continue;
                }
                match one.kind {
                    NOOP => {}
                    OVERRUN => return Err(NetlinkError::Lost { protocol }),
                    DONE | ERROR => {
                        let outcome = message::outcome(&one, protocol, kind, payload);
                        outcome.ok_or_else(|| malformed("an error message without its number"))??;
                        return Ok(replies);
                    }
                    kind => replies.push(Reply { kind, payload: one.payload.to_vec() }),
                }
            }
        }
    }

    /// Gives an order that has no answer but yes or no.
    pub fn ack(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<(), NetlinkError> {
        self.request(kind, flags, payload).map(drop)
    }

    /// Sends messages to one nfnetlink subsystem (10 is nftables) as a transaction: all or nothing.
    ///
    /// Replies are what messages with `NLM_F_ECHO` were turned into. Every refused message is in the error
    /// with its index, not only the first.
    pub fn batch(&mut self, subsystem: u16, messages: &[BatchMessage]) -> Result<Vec<Reply>, BatchError> {
        let Some(last) = messages.len().checked_sub(1) else { return Ok(Vec::new()) };
        let protocol = self.protocol;
        self.finish_dump()?;
        // struct nfgenmsg: family, version, resource id in network order.
        let mut frame = [0; 4];
        frame[2..].copy_from_slice(&subsystem.to_be_bytes());
        let mut datagram = Vec::new();
        let first = self.next_sequence();
        message::append(&mut datagram, BATCH_BEGIN, NLM_F_REQUEST, first, &frame);
        let mut sequences = Vec::with_capacity(messages.len());
        for (index, one) in messages.iter().enumerate() {
            // The last acknowledgement proves that the kernel went through the whole batch.
            let ack = if index == last { NLM_F_ACK } else { 0 };
            sequences.push(self.next_sequence());
            let flags = one.flags | NLM_F_REQUEST | ack;
            message::append(&mut datagram, one.kind, flags, self.sequence, &one.payload);
        }
        let end = self.next_sequence();
        message::append(&mut datagram, BATCH_END, NLM_F_REQUEST, end, &frame);
        self.make_room(datagram.len());
        self.send_datagram(&datagram)?;

        // The kernel carries out a batch inside the send, so that every answer is already waiting.
        let (mut refusals, mut replies, mut done): (Vec<(Option<usize>, Refusal)>, _, _) =
            (vec![], vec![], false);
        while let Some(length) = self.receive_now()? {
            for one in message::messages(self.buffer.get(..length).unwrap_or(&[])) {
                let malformed = |what| NetlinkError::Malformed { protocol, what };
                let one = one.map_err(|()| malformed("a message is longer than its datagram"))?;
                let index = sequences.binary_search(&one.sequence).ok();
                if index.is_none() && one.sequence != first && one.sequence != end {
                    continue;
                }
                let sent = index.and_then(|index| messages.get(index));
                match one.kind {
                    NOOP => {}
                    OVERRUN => return Err(NetlinkError::Lost { protocol }.into()),
                    ERROR => {
                        let kind = sent.map_or(BATCH_BEGIN, |sent| sent.kind);
                        let payload = sent.map_or(&frame[..], |sent| &sent.payload);
                        match message::outcome(&one, protocol, kind, payload) {
                            Some(Ok(())) => done |= index == Some(last),
                            Some(Err(refusal)) => refusals.push((index, refusal)),
                            None => return Err(malformed("an error message without its number").into()),
                        }
                    }
                    kind => replies.push(Reply { kind, payload: one.payload.to_vec() }),
                }
            }
        }
        match (refusals.is_empty(), done) {
            (false, _) => Err(BatchError::Refused(refusals)),
            (true, true) => Ok(replies),
            (true, false) => {
                Err(NetlinkError::Malformed { protocol, what: "the batch was not acknowledged" }.into())
            }
        }
    }

    /// A batch must fit the send buffer in one piece; a failure shows as `EMSGSIZE` when sending.
    fn make_room(&self, bytes: usize) {
        let wanted = i32::try_from(bytes.saturating_mul(2)).unwrap_or(i32::MAX);
        let have = fd::get_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, "getsockopt SO_SNDBUF");
        if have.is_ok_and(|have| have >= wanted) {
            return;
        }
        for (name, operation) in
            [(libc::SO_SNDBUFFORCE, "setsockopt SO_SNDBUFFORCE"), (libc::SO_SNDBUF, "setsockopt SO_SNDBUF")]
        {
            if fd::set_int(self.as_fd(), libc::SOL_SOCKET, name, wanted, operation).is_ok() {
                return;
            }
        }
    }
}
