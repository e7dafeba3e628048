//! Closing other processes' sockets (`SOCK_DESTROY`, uapi `linux/sock_diag.h`). There is no undo.

use netwhy_sys::netlink::Socket;
use netwhy_wire::inet_diag::Request;

use crate::{ChangeError, Result};

/// `SOCK_DESTROY`, the message type.
const SOCK_DESTROY: u16 = 21;

/// Closes exactly the socket a request names: ends, device and cookie. Its owner sees ECONNABORTED. Needs
/// CAP_NET_ADMIN and a kernel built with `CONFIG_INET_DIAG_DESTROY`.
pub fn destroy(socket: &mut Socket, request: &Request) -> Result<()> {
    // Without a cookie the kernel would take any socket of the same ends.
    if request.id.cookie.is_none() {
        return Err(ChangeError::Usage("a socket is closed by its cookie only".into()));
    }
    let payload = request.payload().map_err(|error| ChangeError::Usage(error.to_string()))?;
    socket
        .ack(SOCK_DESTROY, 0, &payload)
        .map_err(|error| ChangeError::Netlink { what: "close socket".into(), error })
}
