//! Error numbers by name: `ECONNREFUSED`, not 111 (uapi `asm-generic/errno.h`).

use std::fmt;

/// An error number of the running kernel. Displays as its name and what the C library says about it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(i32);

impl Errno {
    /// The error with this number; a negative one, as the kernel hands it inside messages, is turned.
    #[must_use]
    pub const fn new(number: i32) -> Self {
        Errno(number.saturating_abs())
    }

    /// What the last failed call of this thread left behind.
    #[must_use]
    pub fn last() -> Self {
        Errno::from(&std::io::Error::last_os_error())
    }

    /// The number. It differs between architectures; the name does not.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The symbolic name, `"errno"` for a number no kernel header names.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().map_or("errno", |entry| entry.name)
    }

    /// One line of what it means in general; what it means for a given call is for the caller to say.
    #[must_use]
    pub fn description(self) -> &'static str {
        self.entry().map_or("Unknown error", |entry| entry.description)
    }

    /// The error with this symbolic name, aliases included.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = match name {
            "EWOULDBLOCK" => "EAGAIN",
            "EDEADLOCK" => "EDEADLK",
            "ENOTSUP" => "EOPNOTSUPP",
            other => other,
        };
        TABLE.iter().find(|entry| entry.name == name).map(|entry| Errno(entry.number))
    }

    /// Every error there is a name for, by number.
    pub fn all() -> impl Iterator<Item = Errno> {
        TABLE.iter().map(|entry| Errno(entry.number))
    }

    /// The kernel has refused for want of privilege.
    #[must_use]
    pub const fn is_denied(self) -> bool {
        matches!(self.0, libc::EPERM | libc::EACCES)
    }

    /// The kernel lacks the feature: not built in, not loaded, or too old.
    #[must_use]
    pub const fn is_unsupported(self) -> bool {
        matches!(
            self.0,
            libc::ENOSYS
                | libc::EOPNOTSUPP
                | libc::EPROTONOSUPPORT
                | libc::EAFNOSUPPORT
                | libc::ESOCKTNOSUPPORT
                | libc::EPFNOSUPPORT
                | libc::ENOPROTOOPT
                | 524
        )
    }

    fn entry(self) -> Option<&'static Entry> {
        TABLE.iter().find(|entry| entry.number == self.0)
    }
}

impl From<&std::io::Error> for Errno {
    /// An error without a number (made by the standard library itself) becomes `EIO`.
    fn from(error: &std::io::Error) -> Self {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => write!(f, "{} ({})", entry.name, entry.description),
            None => write!(f, "errno {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some(entry) => f.write_str(entry.name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

struct Entry {
    number: i32,
    name: &'static str,
    description: &'static str,
}

macro_rules! table {
    ($($name:ident: $description:literal;)* @kernel $($number:literal $internal:ident: $text:literal;)*) => {
        #[allow(missing_docs, reason = "each is described by its entry in the table")]
        impl Errno {
            $(pub const $name: Errno = Errno(libc::$name);)*
            $(pub const $internal: Errno = Errno($number);)*
        }

        const TABLE: &[Entry] = &[
            $(Entry { number: libc::$name, name: stringify!($name), description: $description },)*
            $(Entry { number: $number, name: stringify!($internal), description: $text },)*
        ];
    };
}

// The second part is not uapi (kernel `include/linux/errno.h`) but leaks out: bpf(2) returns ENOTSUPP,
// a traced or probed system call shows the restarts.
table! {
    EPERM: "Operation not permitted";
    ENOENT: "No such file or directory";
    ESRCH: "No such process";
    EINTR: "Interrupted system call";
    EIO: "Input/output error";
    ENXIO: "No such device or address";
    E2BIG: "Argument list too long";
    ENOEXEC: "Exec format error";
    EBADF: "Bad file descriptor";
    ECHILD: "No child processes";
    EAGAIN: "Resource temporarily unavailable";
    ENOMEM: "Cannot allocate memory";
    EACCES: "Permission denied";
    EFAULT: "Bad address";
    ENOTBLK: "Block device required";
    EBUSY: "Device or resource busy";
    EEXIST: "File exists";
    EXDEV: "Invalid cross-device link";
    ENODEV: "No such device";
    ENOTDIR: "Not a directory";
    EISDIR: "Is a directory";
    EINVAL: "Invalid argument";
    ENFILE: "Too many open files in system";
    EMFILE: "Too many open files";
    ENOTTY: "Inappropriate ioctl for device";
    ETXTBSY: "Text file busy";
    EFBIG: "File too large";
    ENOSPC: "No space left on device";
    ESPIPE: "Illegal seek";
    EROFS: "Read-only file system";
    EMLINK: "Too many links";
    EPIPE: "Broken pipe";
    EDOM: "Numerical argument out of domain";
    ERANGE: "Numerical result out of range";
    EDEADLK: "Resource deadlock avoided";
    ENAMETOOLONG: "File name too long";
    ENOLCK: "No locks available";
    ENOSYS: "Function not implemented";
    ENOTEMPTY: "Directory not empty";
    ELOOP: "Too many levels of symbolic links";
    ENOMSG: "No message of desired type";
    EIDRM: "Identifier removed";
    ECHRNG: "Channel number out of range";
    EL2NSYNC: "Level 2 not synchronized";
    EL3HLT: "Level 3 halted";
    EL3RST: "Level 3 reset";
    ELNRNG: "Link number out of range";
    EUNATCH: "Protocol driver not attached";
    ENOCSI: "No CSI structure available";
    EL2HLT: "Level 2 halted";
    EBADE: "Invalid exchange";
    EBADR: "Invalid request descriptor";
    EXFULL: "Exchange full";
    ENOANO: "No anode";
    EBADRQC: "Invalid request code";
    EBADSLT: "Invalid slot";
    EBFONT: "Bad font file format";
    ENOSTR: "Device not a stream";
    ENODATA: "No data available";
    ETIME: "Timer expired";
    ENOSR: "Out of streams resources";
    ENONET: "Machine is not on the network";
    ENOPKG: "Package not installed";
    EREMOTE: "Object is remote";
    ENOLINK: "Link has been severed";
    EADV: "Advertise error";
    ESRMNT: "Srmount error";
    ECOMM: "Communication error on send";
    EPROTO: "Protocol error";
    EMULTIHOP: "Multihop attempted";
    EDOTDOT: "RFS specific error";
    EBADMSG: "Bad message";
    EOVERFLOW: "Value too large for defined data type";
    ENOTUNIQ: "Name not unique on network";
    EBADFD: "File descriptor in bad state";
    EREMCHG: "Remote address changed";
    ELIBACC: "Can not access a needed shared library";
    ELIBBAD: "Accessing a corrupted shared library";
    ELIBSCN: ".lib section in a.out corrupted";
    ELIBMAX: "Attempting to link in too many shared libraries";
    ELIBEXEC: "Cannot exec a shared library directly";
    EILSEQ: "Invalid or incomplete multibyte or wide character";
    ERESTART: "Interrupted system call should be restarted";
    ESTRPIPE: "Streams pipe error";
    EUSERS: "Too many users";
    ENOTSOCK: "Socket operation on non-socket";
    EDESTADDRREQ: "Destination address required";
    EMSGSIZE: "Message too long";
    EPROTOTYPE: "Protocol wrong type for socket";
    ENOPROTOOPT: "Protocol not available";
    EPROTONOSUPPORT: "Protocol not supported";
    ESOCKTNOSUPPORT: "Socket type not supported";
    EOPNOTSUPP: "Operation not supported";
    EPFNOSUPPORT: "Protocol family not supported";
    EAFNOSUPPORT: "Address family not supported by protocol";
    EADDRINUSE: "Address already in use";
    EADDRNOTAVAIL: "Cannot assign requested address";
    ENETDOWN: "Network is down";
    ENETUNREACH: "Network is unreachable";
    ENETRESET: "Network dropped connection on reset";
    ECONNABORTED: "Software caused connection abort";
    ECONNRESET: "Connection reset by peer";
    ENOBUFS: "No buffer space available";
    EISCONN: "Transport endpoint is already connected";
    ENOTCONN: "Transport endpoint is not connected";
    ESHUTDOWN: "Cannot send after transport endpoint shutdown";
    ETOOMANYREFS: "Too many references: cannot splice";
    ETIMEDOUT: "Connection timed out";
    ECONNREFUSED: "Connection refused";
    EHOSTDOWN: "Host is down";
    EHOSTUNREACH: "No route to host";
    EALREADY: "Operation already in progress";
    EINPROGRESS: "Operation now in progress";
    ESTALE: "Stale file handle";
    EUCLEAN: "Structure needs cleaning";
    ENOTNAM: "Not a XENIX named type file";
    ENAVAIL: "No XENIX semaphores available";
    EISNAM: "Is a named type file";
    EREMOTEIO: "Remote I/O error";
    EDQUOT: "Disk quota exceeded";
    ENOMEDIUM: "No medium found";
    EMEDIUMTYPE: "Wrong medium type";
    ECANCELED: "Operation canceled";
    ENOKEY: "Required key not available";
    EKEYEXPIRED: "Key has expired";
    EKEYREVOKED: "Key has been revoked";
    EKEYREJECTED: "Key was rejected by service";
    EOWNERDEAD: "Owner died";
    ENOTRECOVERABLE: "State not recoverable";
    ERFKILL: "Operation not possible due to RF-kill";
    EHWPOISON: "Memory page has hardware error";
    @kernel
    512 ERESTARTSYS: "Interrupted, to be restarted";
    513 ERESTARTNOINTR: "Interrupted, always to be restarted";
    514 ERESTARTNOHAND: "Interrupted, to be restarted without a handler";
    515 ENOIOCTLCMD: "No such ioctl command";
    516 ERESTART_RESTARTBLOCK: "Interrupted, to be restarted through restart_syscall";
    517 EPROBE_DEFER: "Driver asks to be probed later";
    518 EOPENSTALE: "Open found a stale entry";
    519 ENOPARAM: "Parameter not supported";
    521 EBADHANDLE: "Illegal file handle";
    522 ENOTSYNC: "Update synchronisation mismatch";
    523 EBADCOOKIE: "Cookie is stale";
    524 ENOTSUPP: "Operation is not supported";
    525 ETOOSMALL: "Buffer or request is too small";
    526 ESERVERFAULT: "An untranslatable error occurred";
    527 EBADTYPE: "Type not supported by server";
    528 EJUKEBOX: "Request initiated, but will not complete before timeout";
    529 EIOCBQUEUED: "Request queued, will get completion event";
    530 ERECALLCONFLICT: "Conflict with recalled state";
    531 ENOGRACE: "Grace period refuses to recover";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts() {
        assert_eq!(Errno::new(-libc::ECONNREFUSED), Errno::ECONNREFUSED);
        assert_eq!(Errno::ECONNREFUSED.to_string(), "ECONNREFUSED (Connection refused)");
        assert_eq!(format!("{:?}", Errno::EHOSTUNREACH), "EHOSTUNREACH");
        assert_eq!(Errno::new(4000).to_string(), "errno 4000");
        assert_eq!(Errno::new(i32::MIN).name(), "errno");
        assert_eq!(Errno::from_name("EWOULDBLOCK"), Some(Errno::EAGAIN));
    }

    #[test]
    fn no_number_is_named_twice_and_none_is_missing() {
        let mut numbers: Vec<i32> = Errno::all().map(Errno::number).collect();
        let total = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), total);
        // 41 and 58 are the old numbers of EAGAIN and EDEADLK and were never given out again.
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
        for number in (1..=133).filter(|number| ![41, 58].contains(number)) {
            assert!(numbers.contains(&number), "{number} has no name");
        }
    }

    #[test]
    fn every_name_leads_back() {
        for errno in Errno::all() {
            assert_eq!(Errno::from_name(errno.name()), Some(errno));
            assert!(!errno.description().is_empty());
        }
    }
}
