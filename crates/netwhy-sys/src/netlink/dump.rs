//! Reading a whole listing.

use std::ops::ControlFlow;
use std::time::Instant;

use super::message::{self, DONE, ERROR, NOOP, OVERRUN};
use super::request::Reply;
use super::{NLM_F_DUMP, NLM_F_DUMP_INTR, NetlinkError, Socket};
use crate::errno::Errno;

/// How often a listing that changes under the reader is read.
const TRIES: u32 = 5;

impl Socket {
    /// Streams a listing to `each` (message type, payload) without keeping it. Reads it once.
    ///
    /// `Err(Interrupted)` comes after the last message if the listing changed meanwhile: what `each` has
    /// seen may then lack objects or hold some twice, so throw it away and start over, or use
    /// [`Self::dump_into`], which does that. `Break` stops and is no error, however the rest would have
    /// ended.
    pub fn dump(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), NetlinkError> {
        let mut seen = false;
        let result = self.dump_once(kind, flags, payload, &mut |message| {
            seen = true;
            each(message.kind, message.payload)
        });
        match result {
            // An old habit of sending a header the kernel now finds sloppy: ask again without strictness.
            Err(NetlinkError::Refused(refusal)) if self.strict && !seen && refusal.errno == Errno::EINVAL => {
                self.set_strict(false)?;
                // If it was not strictness, the first answer says more.
                self.dump_once(kind, flags, payload, &mut |message| each(message.kind, message.payload))
                    .map_err(|error| match error {
                        NetlinkError::Refused(again) if again.errno == Errno::EINVAL => refusal.into(),
                        other => other,
                    })
            }
            other => other,
        }
    }

    /// Reads a listing into something `fresh` makes anew for every try: repeated up to five times if the
    /// listing changed while it was read, or a part did not fit the buffer.
    pub fn dump_into<S>(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        mut fresh: impl FnMut() -> S,
        mut each: impl FnMut(&mut S, u16, &[u8]) -> ControlFlow<()>,
    ) -> Result<S, NetlinkError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut state = fresh();
            match self.dump(kind, flags, payload, |kind, payload| each(&mut state, kind, payload)) {
                Ok(()) => return Ok(state),
                Err(NetlinkError::Interrupted { .. } | NetlinkError::Truncated { .. }) if tries < TRIES => {}
                Err(NetlinkError::Interrupted { protocol, kind, .. }) => {
                    return Err(NetlinkError::Interrupted { protocol, kind, tries });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads a listing whole, repeated as [`Self::dump_into`] does.
    pub fn dump_vec(&mut self, kind: u16, flags: u16, payload: &[u8]) -> Result<Vec<Reply>, NetlinkError> {
        self.dump_into(kind, flags, payload, Vec::new, |replies, kind, payload| {
            replies.push(Reply { kind, payload: payload.to_vec() });
            ControlFlow::Continue(())
        })
    }

    fn dump_once(
        &mut self,
        kind: u16,
        flags: u16,
        payload: &[u8],
        each: &mut dyn FnMut(&message::Message<'_>) -> ControlFlow<()>,
    ) -> Result<(), NetlinkError> {
        let protocol = self.protocol;
        let sequence = self.send(kind, flags | NLM_F_DUMP, payload)?;
        self.unfinished = Some(sequence);
        let mut interrupted = false;
        loop {
            let length = self.receive(Instant::now() + self.timeout)?;
            for one in message::messages(self.buffer.get(..length).unwrap_or(&[])) {
                let malformed = |what| NetlinkError::Malformed { protocol, what };
                let one = one.map_err(|()| malformed("a message is longer than its datagram"))?;
                if one.sequence != sequence || (one.port != 0 && one.port != self.port) {
                    continue;
                }
                interrupted |= one.flags & NLM_F_DUMP_INTR != 0;
                match one.kind {
                    NOOP => {}
                    OVERRUN => return Err(NetlinkError::Lost { protocol }),
                    DONE | ERROR => {
                        self.unfinished = None;
                        let outcome = message::outcome(&one, protocol, kind, payload);
                        outcome.ok_or_else(|| malformed("an error message without its number"))??;
                        return match interrupted {
                            true => Err(NetlinkError::Interrupted { protocol, kind, tries: 1 }),
                            false => Ok(()),
                        };
                    }
                    _ => {
                        if each(&one).is_break() {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// Reads the rest of a dump that was given up. Until its end the kernel answers a new one with `EBUSY`.
    pub(super) fn finish_dump(&mut self) -> Result<(), NetlinkError> {
        while let Some(sequence) = self.unfinished {
            let length = match self.receive(Instant::now() + self.timeout) {
                Ok(length) => length,
                Err(NetlinkError::Truncated { .. }) => continue,
                Err(error) => return Err(error),
            };
            let ended = message::messages(self.buffer.get(..length).unwrap_or(&[]))
                .flatten()
                .any(|one| one.sequence == sequence && matches!(one.kind, DONE | ERROR));
            if ended {
                self.unfinished = None;
            }
        }
        Ok(())
    }
}
