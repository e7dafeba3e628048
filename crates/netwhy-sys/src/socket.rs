//! Internet sockets for asking: TCP, UDP, echo and raw, never blocking, with every option a probe needs.
//!
//! Wait with [`crate::poll`]. A socket belongs to the network namespace of the thread that opened it.

mod errors;
mod listen;
mod receive;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

pub use self::errors::{Origin, QueuedError};
pub use self::listen::{ListenOptions, listen_tcp, listen_udp};
pub use self::receive::Datagram;
pub use crate::address::Family;

use crate::address;
use crate::errno::Errno;
use crate::error::{Result, SysError, check};
use crate::fd;
use crate::filter::{self, Instruction};

/// What travels over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// TCP.
    Tcp,
    /// Multipath TCP (since Linux 5.6).
    Mptcp,
    /// UDP.
    Udp,
    /// ICMP echo without privilege, where `net.ipv4.ping_group_range` lets the group. The kernel puts the
    /// local port into the identifier and fills in the checksum.
    Ping,
    /// IP packets of one protocol; needs `CAP_NET_RAW`. IPv4 packets are received with their header, IPv6
    /// ones without.
    Raw(u8),
}

/// What the kernel does about packets larger than a path carries (uapi `linux/in.h`, `IP_PMTUDISC_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum PathMtu {
    /// Fragment when needed; never set DF.
    Dont = 0,
    /// DF for what fits the known path MTU, else fragment.
    Want = 1,
    /// Always DF; what exceeds the known path MTU fails with `EMSGSIZE`.
    Do = 2,
    /// Always DF, and whatever the path MTU is said to be: for probing it.
    Probe = 3,
    /// No DF and no heed to what ICMP says.
    Interface = 4,
    /// As `Interface`, fragmenting what exceeds the device.
    Omit = 5,
}

/// How far a connect has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// There: always for datagrams, for TCP only with oneself.
    Done,
    /// Under way: wait until it can be written, then ask [`Socket::take_error`].
    InProgress,
}

/// A socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    family: Family,
    kind: Kind,
}

impl Socket {
    /// Opens a socket. `EACCES` or `EPERM`: not for this user (ping and raw).
    pub fn open(family: Family, kind: Kind) -> Result<Self> {
        const IPPROTO_MPTCP: i32 = 262;
        let (socket_type, protocol) = match (kind, family) {
            (Kind::Tcp, _) => (libc::SOCK_STREAM, libc::IPPROTO_TCP),
            (Kind::Mptcp, _) => (libc::SOCK_STREAM, IPPROTO_MPTCP),
            (Kind::Udp, _) => (libc::SOCK_DGRAM, libc::IPPROTO_UDP),
            (Kind::Ping, Family::V4) => (libc::SOCK_DGRAM, libc::IPPROTO_ICMP),
            (Kind::Ping, Family::V6) => (libc::SOCK_DGRAM, libc::IPPROTO_ICMPV6),
            (Kind::Raw(protocol), _) => (libc::SOCK_RAW, i32::from(protocol)),
        };
        let fd = fd::socket(family.number(), socket_type | libc::SOCK_NONBLOCK, protocol)
            .map_err(|error| SysError { object: format!("{kind:?} {family:?}"), ..error })?;
        Ok(Socket { fd, family, kind })
    }

    /// A standard stream as a socket again: no longer blocking, with all options at hand.
    pub fn from_tcp_stream(stream: TcpStream) -> Result<Self> {
        let local = stream.local_addr().map_err(|error| SysError::io("getsockname", "", &error))?;
        stream.set_nonblocking(true).map_err(|error| SysError::io("fcntl", "", &error))?;
        Ok(Socket { fd: stream.into(), family: Family::of(local.ip()), kind: Kind::Tcp })
    }

    /// Its address family.
    #[must_use]
    pub const fn family(&self) -> Family {
        self.family
    }

    /// Takes a local address, a port, or both; the unspecified address and port 0 leave the choice.
    pub fn bind(&self, local: SocketAddr) -> Result<()> {
        fd::bind(self.as_fd(), &address::encode(local)).map_err(|error| about(local, error))
    }

    /// Starts a connection, or sets where datagrams go and come from. An address without a route, or one a
    /// local rule forbids, fails here and now.
    pub fn connect(&self, remote: SocketAddr) -> Result<Connect> {
        match fd::connect(self.as_fd(), &address::encode(remote)) {
            Ok(()) => Ok(Connect::Done),
            Err(error) if error.errno == Errno::EINPROGRESS => Ok(Connect::InProgress),
            Err(error) => Err(about(remote, error)),
        }
    }

    /// Takes back [`Self::connect`] of a datagram socket.
    pub fn disconnect(&self) -> Result<()> {
        // AF_UNSPEC is 0.
        fd::connect(self.as_fd(), &[0; 16])
    }

    /// The pending error, once (`SO_ERROR`): how a connection failed, or what ICMP said to datagrams.
    pub fn take_error(&self) -> Result<Option<Errno>> {
        let number = fd::get_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, "getsockopt SO_ERROR")?;
        Ok((number != 0).then(|| Errno::new(number)))
    }

    /// Sends to the connected peer.
    pub fn send(&self, data: &[u8]) -> Result<usize> {
        fd::send_to(self.as_fd(), data, &[], 0)
    }

    /// Sends to an address. For raw sockets the port is ignored and must be 0 with IPv6.
    pub fn send_to(&self, data: &[u8], remote: SocketAddr) -> Result<usize> {
        fd::send_to(self.as_fd(), data, &address::encode(remote), 0).map_err(|error| about(remote, error))
    }

    /// Ends one direction, or both.
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        // SAFETY: takes plain numbers.
        check(unsafe { libc::shutdown(self.fd.as_raw_fd(), how) }, "shutdown").map(drop)
    }

    /// Its own address and port. Of a ping socket the port is the echo identifier.
    pub fn local(&self) -> Result<SocketAddr> {
        address::decode(fd::local_address(self.as_fd())?.bytes())
            .ok_or_else(|| SysError::new("getsockname", "", Errno::EAFNOSUPPORT))
    }

    /// The peer's address and port.
    pub fn peer(&self) -> Result<SocketAddr> {
        address::decode(fd::peer_address(self.as_fd())?.bytes())
            .ok_or_else(|| SysError::new("getpeername", "", Errno::EAFNOSUPPORT))
    }

    /// Lets packets leave and arrive by this device only (`SO_BINDTODEVICE`). Without privilege since
    /// Linux 5.7.
    pub fn bind_device(&self, device: &str) -> Result<()> {
        let option = libc::SO_BINDTODEVICE;
        fd::set_option(
            self.as_fd(),
            libc::SOL_SOCKET,
            option,
            device.as_bytes(),
            "setsockopt SO_BINDTODEVICE",
        )
        .map_err(|error| SysError { object: device.to_owned(), ..error })
    }

    /// Marks packets for policy routing and filters (`SO_MARK`); needs `CAP_NET_ADMIN`, or `CAP_NET_RAW`
    /// since Linux 5.17.
    pub fn set_mark(&self, mark: u32) -> Result<()> {
        let bytes = mark.to_ne_bytes();
        fd::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_MARK, &bytes, "setsockopt SO_MARK")
            .map_err(|error| SysError { object: format!("{mark:#x}"), ..error })
    }

    /// How many hops packets may take.
    pub fn set_ttl(&self, ttl: u8) -> Result<()> {
        self.set_ip(
            (libc::IP_TTL, "setsockopt IP_TTL"),
            (libc::IPV6_UNICAST_HOPS, "setsockopt IPV6_UNICAST_HOPS"),
            i32::from(ttl),
        )
    }

    /// The whole byte that holds DSCP and ECN.
    pub fn set_traffic_class(&self, class: u8) -> Result<()> {
        self.set_ip(
            (libc::IP_TOS, "setsockopt IP_TOS"),
            (libc::IPV6_TCLASS, "setsockopt IPV6_TCLASS"),
            i32::from(class),
        )
    }

    /// What to do about packets too large for the path.
    pub fn set_path_mtu(&self, mode: PathMtu) -> Result<()> {
        self.set_ip(
            (libc::IP_MTU_DISCOVER, "setsockopt IP_MTU_DISCOVER"),
            (libc::IPV6_MTU_DISCOVER, "setsockopt IPV6_MTU_DISCOVER"),
            mode as i32,
        )
    }

    /// The path MTU the kernel knows for the connected peer, bytes.
    pub fn path_mtu(&self) -> Result<u32> {
        let (option, operation) = match self.family {
            Family::V4 => (libc::IP_MTU, "getsockopt IP_MTU"),
            Family::V6 => (libc::IPV6_MTU, "getsockopt IPV6_MTU"),
        };
        fd::get_int(self.as_fd(), self.level(), option, operation).map(|mtu| u32::try_from(mtu).unwrap_or(0))
    }

    /// Keeps every ICMP error with its sender in the error queue ([`Self::take_queued_error`]). Without it
    /// an unconnected UDP socket hears of none, and TCP only of the fatal ones.
    pub fn queue_errors(&self, on: bool) -> Result<()> {
        self.set_ip(
            (libc::IP_RECVERR, "setsockopt IP_RECVERR"),
            (libc::IPV6_RECVERR, "setsockopt IPV6_RECVERR"),
            i32::from(on),
        )
    }

    /// Delivers TTL, traffic class, arrival device, own address and time with each datagram.
    pub fn receive_details(&self) -> Result<()> {
        let (four, six): (&[_], &[_]) = (
            &[
                (libc::IP_RECVTTL, "setsockopt IP_RECVTTL"),
                (libc::IP_RECVTOS, "setsockopt IP_RECVTOS"),
                (libc::IP_PKTINFO, "setsockopt IP_PKTINFO"),
            ],
            &[
                (libc::IPV6_RECVHOPLIMIT, "setsockopt IPV6_RECVHOPLIMIT"),
                (libc::IPV6_RECVTCLASS, "setsockopt IPV6_RECVTCLASS"),
                (libc::IPV6_RECVPKTINFO, "setsockopt IPV6_RECVPKTINFO"),
            ],
        );
        let options = if self.family == Family::V4 { four } else { six };
        for (option, operation) in options {
            fd::set_int(self.as_fd(), self.level(), *option, 1, operation)?;
        }
        let option = libc::SO_TIMESTAMPNS;
        fd::set_int(self.as_fd(), libc::SOL_SOCKET, option, 1, "setsockopt SO_TIMESTAMPNS")
    }

    /// Lets a port be taken that another socket of this program holds or that lies in TIME-WAIT.
    pub fn set_reuse_address(&self) -> Result<()> {
        fd::set_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1, "setsockopt SO_REUSEADDR")
    }

    /// Several sockets of one user may listen on the same port; the kernel picks one by a hash.
    pub fn set_reuse_port(&self) -> Result<()> {
        let option = libc::SO_REUSEPORT;
        fd::set_int(self.as_fd(), libc::SOL_SOCKET, option, 1, "setsockopt SO_REUSEPORT")
    }

    /// Lets an address be bound that is not (yet) this host's; without privilege.
    pub fn set_free_bind(&self) -> Result<()> {
        const IPV6_FREEBIND: i32 = 78;
        self.set_ip(
            (libc::IP_FREEBIND, "setsockopt IP_FREEBIND"),
            (IPV6_FREEBIND, "setsockopt IPV6_FREEBIND"),
            1,
        )
    }

    /// Chooses the local port when connecting and not when binding, as programs do that bind an address
    /// only: then a port may be shared by connections to different peers.
    pub fn set_late_port(&self) -> Result<()> {
        let option = libc::IP_BIND_ADDRESS_NO_PORT;
        fd::set_int(self.as_fd(), libc::IPPROTO_IP, option, 1, "setsockopt IP_BIND_ADDRESS_NO_PORT")
    }

    /// Refuses IPv4 on an IPv6 socket, or lets it in.
    pub fn set_v6_only(&self, on: bool) -> Result<()> {
        let option = libc::IPV6_V6ONLY;
        fd::set_int(self.as_fd(), libc::IPPROTO_IPV6, option, i32::from(on), "setsockopt IPV6_V6ONLY")
    }

    /// Room for received data; the kernel doubles it for its own needs. Returns what is in force.
    pub fn set_receive_buffer(&self, bytes: u32) -> Result<u32> {
        let wanted = i32::try_from(bytes).unwrap_or(i32::MAX / 2);
        fd::set_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, wanted, "setsockopt SO_RCVBUF")?;
        let real = fd::get_int(self.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, "getsockopt SO_RCVBUF")?;
        Ok(u32::try_from(real).unwrap_or(0))
    }

    /// The next close resets the connection instead of ending it in order: no TIME-WAIT is left.
    pub fn reset_on_close(&self) -> Result<()> {
        // struct linger { on, seconds }.
        let value = [1_i32.to_ne_bytes(), 0_i32.to_ne_bytes()].concat();
        fd::set_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_LINGER, &value, "setsockopt SO_LINGER")
    }

    /// How often an unanswered SYN is repeated; 1 to 255.
    pub fn set_syn_retries(&self, count: u8) -> Result<()> {
        let option = libc::TCP_SYNCNT;
        fd::set_int(self.as_fd(), libc::IPPROTO_TCP, option, i32::from(count), "setsockopt TCP_SYNCNT")
    }

    /// How long sent data may stay unacknowledged.
    pub fn set_user_timeout(&self, timeout: Duration) -> Result<()> {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let option = libc::TCP_USER_TIMEOUT;
        fd::set_int(self.as_fd(), libc::IPPROTO_TCP, option, millis, "setsockopt TCP_USER_TIMEOUT")
    }

    /// The largest segment to announce and to send, bytes.
    pub fn set_max_segment(&self, bytes: u16) -> Result<()> {
        let option = libc::TCP_MAXSEG;
        fd::set_int(self.as_fd(), libc::IPPROTO_TCP, option, i32::from(bytes), "setsockopt TCP_MAXSEG")
    }

    /// Attaches a filter that keeps no byte: the kernel frees what arrives, without an answer (SO_ATTACH_FILTER).
    pub fn refuse_everything(&self) -> Result<()> {
        crate::filter::attach(self.as_fd(), &crate::filter::with_snap_length(&[], 0))
    }

    /// Signs every segment to and from an address with this key (TCP_MD5SIG, RFC 2385), and wants them signed.
    ///
    /// `struct tcp_md5sig` (uapi `linux/tcp.h`): address, flags, prefix length, key length, device, 80 bytes of key.
    pub fn set_md5_key(&self, peer: IpAddr, key: &[u8]) -> Result<()> {
        const TCP_MD5SIG: libc::c_int = 14;
        const STORAGE: usize = size_of::<libc::sockaddr_storage>();
        let mut request = [0_u8; STORAGE + 8 + 80];
        match peer {
            IpAddr::V4(address) => {
                request[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                request[4..8].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                request[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                request[8..24].copy_from_slice(&address.octets());
            }
        }
        let length = key.len().min(80);
        request[STORAGE + 2..STORAGE + 4].copy_from_slice(&(length as u16).to_ne_bytes());
        request[STORAGE + 8..STORAGE + 8 + length].copy_from_slice(&key[..length]);
        fd::set_option(self.as_fd(), libc::IPPROTO_TCP, TCP_MD5SIG, &request, "setsockopt TCP_MD5SIG")
    }

    /// Sends small segments at once.
    pub fn set_no_delay(&self) -> Result<()> {
        fd::set_int(self.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1, "setsockopt TCP_NODELAY")
    }

    /// `struct tcp_info` as long as this kernel makes it (uapi `linux/tcp.h`).
    pub fn tcp_info(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; 512];
        let length = fd::get_option(
            self.as_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            &mut bytes,
            "getsockopt TCP_INFO",
        )?;
        bytes.truncate(length);
        Ok(bytes)
    }

    /// The number that names this socket in sock_diag and BPF, on this host and for ever.
    pub fn cookie(&self) -> Result<u64> {
        let mut bytes = [0; 8];
        fd::get_option(self.as_fd(), libc::SOL_SOCKET, libc::SO_COOKIE, &mut bytes, "getsockopt SO_COOKIE")?;
        Ok(u64::from_ne_bytes(bytes))
    }

    /// The CPU that last received for it; `None` before anything came.
    pub fn incoming_cpu(&self) -> Result<Option<u32>> {
        let option = libc::SO_INCOMING_CPU;
        let cpu = fd::get_int(self.as_fd(), libc::SOL_SOCKET, option, "getsockopt SO_INCOMING_CPU")?;
        Ok(u32::try_from(cpu).ok())
    }

    /// Raw sockets: what is sent starts with an IP header (`IP_HDRINCL`, `IPV6_HDRINCL`).
    pub fn set_header_included(&self) -> Result<()> {
        self.set_ip(
            (libc::IP_HDRINCL, "setsockopt IP_HDRINCL"),
            (libc::IPV6_HDRINCL, "setsockopt IPV6_HDRINCL"),
            1,
        )
    }

    /// Raw IPv6 sockets: where in the payload the kernel puts the checksum over the pseudo header.
    pub fn set_checksum_offset(&self, offset: u16) -> Result<()> {
        // The level is the raw socket's own here; IPPROTO_IPV6 is an old spelling of the same.
        let option = libc::IPV6_CHECKSUM;
        fd::set_int(self.as_fd(), libc::IPPROTO_IPV6, option, i32::from(offset), "setsockopt IPV6_CHECKSUM")
    }

    /// Raw ICMP sockets: lets in these types only.
    pub fn pass_icmp_types(&self, types: &[u8]) -> Result<()> {
        match self.family {
            Family::V4 => {
                // ICMP_FILTER (uapi `linux/icmp.h`): a bit for each of the first 32 types to keep out.
                let pass = types.iter().filter(|&&kind| kind < 32).fold(0_u32, |bits, kind| bits | 1 << kind);
                let level = libc::SOL_RAW;
                fd::set_option(self.as_fd(), level, 1, &(!pass).to_ne_bytes(), "setsockopt ICMP_FILTER")
            }
            Family::V6 => {
                // ICMPV6_FILTER (uapi `linux/icmpv6.h`): a bit for each of the 256 types to keep out.
                let mut block = [u32::MAX; 8];
                for kind in types {
                    if let Some(word) = block.get_mut(usize::from(kind >> 5)) {
                        *word &= !(1 << (kind & 31));
                    }
                }
                let bytes: Vec<u8> = block.iter().flat_map(|word| word.to_ne_bytes()).collect();
                fd::set_option(self.as_fd(), libc::IPPROTO_ICMPV6, 1, &bytes, "setsockopt ICMPV6_FILTER")
            }
        }
    }

    /// Lets in only what a classic BPF program accepts. It sees UDP and TCP from their header on.
    pub fn attach_filter(&self, program: &[Instruction]) -> Result<()> {
        filter::attach(self.as_fd(), program)
    }

    /// The same socket as a blocking standard stream, for protocols on top.
    pub fn into_tcp_stream(self) -> Result<TcpStream> {
        let stream = TcpStream::from(self.fd);
        stream.set_nonblocking(false).map_err(|error| SysError::io("fcntl", "", &error))?;
        Ok(stream)
    }

    /// The same socket as a blocking standard socket.
    pub fn into_udp_socket(self) -> Result<UdpSocket> {
        let socket = UdpSocket::from(self.fd);
        socket.set_nonblocking(false).map_err(|error| SysError::io("fcntl", "", &error))?;
        Ok(socket)
    }

    /// Waits for connections, at most `backlog` not yet accepted (limited by `net.core.somaxconn`), as a
    /// blocking standard listener.
    pub fn listen(self, backlog: i32) -> Result<TcpListener> {
        // SAFETY: takes plain numbers.
        check(unsafe { libc::listen(self.fd.as_raw_fd(), backlog) }, "listen")?;
        let listener = TcpListener::from(self.fd);
        listener.set_nonblocking(false).map_err(|error| SysError::io("fcntl", "", &error))?;
        Ok(listener)
    }

    const fn level(&self) -> i32 {
        match self.family {
            Family::V4 => libc::IPPROTO_IP,
            Family::V6 => libc::IPPROTO_IPV6,
        }
    }

    fn set_ip(&self, four: (i32, &'static str), six: (i32, &'static str), value: i32) -> Result<()> {
        let (option, operation) = if self.family == Family::V4 { four } else { six };
        fd::set_int(self.as_fd(), self.level(), option, value, operation)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.fd
    }
}

/// The address the kernel would send from to reach `remote`: a connected UDP socket's own. Sends nothing.
pub fn source_for(remote: IpAddr, device: Option<&str>, mark: Option<u32>) -> Result<IpAddr> {
    let socket = Socket::open(Family::of(remote), Kind::Udp)?;
    if let Some(device) = device {
        socket.bind_device(device)?;
    }
    if let Some(mark) = mark {
        socket.set_mark(mark)?;
    }
    // Any port will do; 9 is discard.
    socket.connect(SocketAddr::new(remote, 9))?;
    Ok(socket.local()?.ip())
}

fn about(address: SocketAddr, error: SysError) -> SysError {
    SysError { object: address.to_string(), ..error }
}
