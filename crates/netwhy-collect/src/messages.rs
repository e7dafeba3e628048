//! Whole messages as the kernel sent them, one after another, for those who show every attribute of an object
//! and keep none: the same questions the families ask, without a store in between.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};

use crate::collector::{Collector, read_text};
use crate::error::CollectError;

/// How long one wait for events lasts before the caller is asked again.
const SLICE: Duration = Duration::from_secs(3600);

/// What a listing was like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It held together.
    Whole,
    /// It changed while it was read: objects may be missing or there twice.
    Interrupted,
}

/// One event of a group.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    /// Its message type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The payload behind the header.
    pub payload: &'a [u8],
}

impl Collector {
    /// Streams a listing: message type and payload. An error of `each` ends it and is returned.
    pub fn stream<E: From<CollectError>>(
        &self,
        protocol: Protocol,
        kind: u16,
        request: &[u8],
        mut each: impl FnMut(u16, &[u8]) -> Result<(), E>,
    ) -> Result<Listing, E> {
        let mut failed = None;
        let outcome = self.netlink(protocol, |socket| {
            let result = socket.dump(kind, 0, request, |kind, payload| match each(kind, payload) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            });
            match result {
                Ok(()) => Ok(Listing::Whole),
                Err(NetlinkError::Interrupted { .. }) => Ok(Listing::Interrupted),
                Err(error) => Err(error.into()),
            }
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(outcome?),
        }
    }

    /// A file of `/proc/net` of the namespace, whole.
    pub fn net_file(&self, name: &str) -> Result<String, CollectError> {
        self.inside(|| read_text(&self.proc_net(name)))?
    }

    /// Asks for one object: the payloads of the answer.
    pub fn ask_one(
        &self,
        protocol: Protocol,
        kind: u16,
        request: &[u8],
    ) -> Result<Vec<(u16, Vec<u8>)>, CollectError> {
        self.netlink(protocol, |socket| {
            let replies = socket.request(kind, 0, request)?;
            Ok(replies.into_iter().map(|reply| (reply.kind, reply.payload)).collect())
        })
    }

    /// Listens to groups until `each` says no. Lost events are told as `None`.
    pub fn follow<E: From<CollectError>>(
        &self,
        protocol: Protocol,
        groups: &[u32],
        mut each: impl FnMut(Option<Heard<'_>>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let opened = self.inside(|| {
            let mut socket = Socket::open(protocol)?;
            for group in groups {
                socket.join(*group)?;
            }
            // A burst of changes should not be lost while the last is printed.
            let _ = socket.set_receive_buffer(1 << 20);
            Ok::<_, CollectError>(socket)
        });
        let mut socket = opened.and_then(|socket| socket)?;
        let mut outcome = Ok(ControlFlow::Continue(()));
        loop {
            let result = socket.recv_events(Instant::now() + SLICE, |event| {
                outcome = each(Some(Heard { kind: event.kind, flags: event.flags, payload: event.payload }));
                match outcome {
                    Ok(ControlFlow::Continue(())) => ControlFlow::Continue(()),
                    _ => ControlFlow::Break(()),
                }
            });
            match result {
                Ok(_) => {}
                Err(NetlinkError::Lost { .. }) => outcome = each(None),
                Err(error) => return Err(CollectError::from(error).into()),
            }
            match outcome {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return Ok(()),
                Err(error) => return Err(error),
            }
            outcome = Ok(ControlFlow::Continue(()));
        }
    }
}
