//! Sockets as they are destroyed (`SKNLGRP_*`, uapi `linux/sock_diag.h`). Needs CAP_NET_ADMIN.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use netwhy_sys::netlink::{NetlinkError, Protocol, Socket};
use netwhy_wire::inet_diag::SOCK_DIAG_BY_FAMILY;

use crate::collector::Collector;
use crate::error::CollectError;
use crate::kernel::{TCP_DIAG, UDP_DIAG};

/// `SKNLGRP_INET_TCP_DESTROY` and what follows it: protocol, AF_*, group.
const GROUPS: &[(u16, u8, u32)] = &[(6, 2, 1), (17, 2, 2), (6, 10, 3), (17, 10, 4)];
/// How long one wait takes: between two, the caller is asked whether to go on.
const TURN: Duration = Duration::from_millis(200);

/// What a caller does with an event: its protocol and payload, or `None` when nothing comes.
type Each<'a> = &'a mut dyn FnMut(Option<(u16, &[u8])>) -> ControlFlow<()>;

impl Collector {
    /// Hands out each socket of the protocols and families that is destroyed from now on, as
    /// [`Answer`](netwhy_wire::inet_diag::Answer)'s payload and its protocol; `None` now and then, when nothing
    /// comes. Ends when `each` breaks. Returns how often the kernel said that it had to drop events.
    pub fn socket_closures(
        &self,
        wanted: &dyn Fn(u16, u8) -> bool,
        each: Each<'_>,
    ) -> Result<u64, CollectError> {
        let mut sockets: Vec<(u16, Socket)> = Vec::new();
        for (protocol, _, group) in GROUPS.iter().filter(|(protocol, family, _)| wanted(*protocol, *family)) {
            self.require(if *protocol == 6 { TCP_DIAG } else { UDP_DIAG })?;
            let mut socket = self.inside(|| Socket::open(Protocol::SockDiag))??;
            socket.join(*group)?;
            sockets.push((*protocol, socket));
        }
        let mut lost = 0;
        loop {
            let turn = TURN / u32::try_from(sockets.len().max(1)).unwrap_or(1);
            for (protocol, socket) in &mut sockets {
                let mut stop = false;
                let read = socket.recv_events(Instant::now() + turn, |event| {
                    if event.kind != SOCK_DIAG_BY_FAMILY {
                        return ControlFlow::Continue(());
                    }
                    let flow = each(Some((*protocol, event.payload)));
                    stop = flow.is_break();
                    flow
                });
                match read {
                    Ok(()) => {}
                    Err(NetlinkError::Lost { .. }) => lost += 1,
                    Err(error) => return Err(error.into()),
                }
                if stop {
                    return Ok(lost);
                }
            }
            if each(None).is_break() {
                return Ok(lost);
            }
        }
    }
}
