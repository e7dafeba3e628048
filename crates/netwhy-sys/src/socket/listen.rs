//! Waiting for others, with the settings that make services fail.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;

use super::{Family, Kind, Socket};
use crate::error::Result;
use crate::fd;

/// How to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenOptions<'a> {
    /// Connections that may wait to be accepted.
    pub backlog: i32,
    /// Share the port with others of the same user (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// Refuse IPv4 on an IPv6 address; `None` follows `net.ipv6.bindv6only`.
    pub v6_only: Option<bool>,
    /// Hear one device only.
    pub device: Option<&'a str>,
    /// Receive buffer, bytes, before the kernel doubles it.
    pub receive_buffer: Option<u32>,
    /// Take an address that is not this host's.
    pub free_bind: bool,
}

impl Default for ListenOptions<'_> {
    fn default() -> Self {
        ListenOptions {
            backlog: 128,
            reuse_port: false,
            v6_only: None,
            device: None,
            receive_buffer: None,
            free_bind: false,
        }
    }
}

/// A TCP listener.
pub fn listen_tcp(local: SocketAddr, options: ListenOptions<'_>) -> Result<TcpListener> {
    bound(local, Kind::Tcp, options)?.listen(options.backlog)
}

/// A UDP socket that waits for datagrams.
pub fn listen_udp(local: SocketAddr, options: ListenOptions<'_>) -> Result<UdpSocket> {
    bound(local, Kind::Udp, options)?.into_udp_socket()
}

fn bound(local: SocketAddr, kind: Kind, options: ListenOptions<'_>) -> Result<Socket> {
    let socket = Socket::open(Family::of(local.ip()), kind)?;
    if kind == Kind::Tcp {
        socket.set_reuse_address()?;
    }
    if options.reuse_port {
        let option = libc::SO_REUSEPORT;
        fd::set_int(socket.as_fd(), libc::SOL_SOCKET, option, 1, "setsockopt SO_REUSEPORT")?;
    }
    if let Some(on) = options.v6_only
        && local.is_ipv6()
    {
        socket.set_v6_only(on)?;
    }
    if let Some(device) = options.device {
        socket.bind_device(device)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_receive_buffer(bytes)?;
    }
    if options.free_bind {
        socket.set_free_bind()?;
    }
    socket.bind(local)?;
    Ok(socket)
}
