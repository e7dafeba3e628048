//! Which capabilities this thread holds, and giving them up (uapi `linux/capability.h`).

use crate::errno::Errno;
use crate::error::{Result, SysError};

macro_rules! capabilities {
    ($($number:literal $variant:ident $name:literal $text:literal;)*) => {
        /// One privilege.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability {
            $(#[doc = $text] $variant = $number,)*
        }

        impl Capability {
            /// All there are, in the kernel's order.
            pub const ALL: &[Capability] = &[$(Capability::$variant,)*];

            /// The name as the manual writes it: `CAP_NET_ADMIN`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Capability::$variant => $name,)* }
            }
        }
    };
}

capabilities! {
    0 Chown "CAP_CHOWN" "Change any file's owner.";
    1 DacOverride "CAP_DAC_OVERRIDE" "Read and write any file.";
    2 DacReadSearch "CAP_DAC_READ_SEARCH" "Read any file.";
    3 Fowner "CAP_FOWNER" "Act as any file's owner.";
    4 Fsetid "CAP_FSETID" "Keep set-id bits.";
    5 Kill "CAP_KILL" "Signal any process.";
    6 Setgid "CAP_SETGID" "Take any group.";
    7 Setuid "CAP_SETUID" "Become any user.";
    8 Setpcap "CAP_SETPCAP" "Change the bounding set.";
    9 LinuxImmutable "CAP_LINUX_IMMUTABLE" "Change immutable files.";
    10 NetBindService "CAP_NET_BIND_SERVICE" "Bind ports below 1024.";
    11 NetBroadcast "CAP_NET_BROADCAST" "Unused.";
    12 NetAdmin "CAP_NET_ADMIN" "Configure the network; read nftables, conntrack and socket details.";
    13 NetRaw "CAP_NET_RAW" "Raw and packet sockets.";
    14 IpcLock "CAP_IPC_LOCK" "Lock memory.";
    15 IpcOwner "CAP_IPC_OWNER" "Act as any IPC object's owner.";
    16 SysModule "CAP_SYS_MODULE" "Load kernel modules.";
    17 SysRawio "CAP_SYS_RAWIO" "Raw device access.";
    18 SysChroot "CAP_SYS_CHROOT" "chroot, and enter mount namespaces.";
    19 SysPtrace "CAP_SYS_PTRACE" "Look into other users' processes.";
    20 SysPacct "CAP_SYS_PACCT" "Process accounting.";
    21 SysAdmin "CAP_SYS_ADMIN" "Namespaces, mounts and much else.";
    22 SysBoot "CAP_SYS_BOOT" "Reboot.";
    23 SysNice "CAP_SYS_NICE" "Scheduling priorities.";
    24 SysResource "CAP_SYS_RESOURCE" "Exceed limits.";
    25 SysTime "CAP_SYS_TIME" "Set clocks.";
    26 SysTtyConfig "CAP_SYS_TTY_CONFIG" "Configure terminals.";
    27 Mknod "CAP_MKNOD" "Make device files.";
    28 Lease "CAP_LEASE" "Lease any file.";
    29 AuditWrite "CAP_AUDIT_WRITE" "Write audit records.";
    30 AuditControl "CAP_AUDIT_CONTROL" "Configure auditing.";
    31 Setfcap "CAP_SETFCAP" "Set file capabilities.";
    32 MacOverride "CAP_MAC_OVERRIDE" "Override mandatory access control.";
    33 MacAdmin "CAP_MAC_ADMIN" "Configure mandatory access control.";
    34 Syslog "CAP_SYSLOG" "Read the kernel log and kernel addresses.";
    35 WakeAlarm "CAP_WAKE_ALARM" "Wake the machine.";
    36 BlockSuspend "CAP_BLOCK_SUSPEND" "Keep the machine awake.";
    37 AuditRead "CAP_AUDIT_READ" "Read audit records.";
    38 Perfmon "CAP_PERFMON" "Performance events and tracing programs (since Linux 5.8).";
    39 Bpf "CAP_BPF" "Load BPF programs (since Linux 5.8).";
    40 CheckpointRestore "CAP_CHECKPOINT_RESTORE" "Checkpoint and restore (since Linux 5.9).";
}

impl Capability {
    /// The capability of this name, with or without `CAP_`, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Capability::ALL.iter().copied().find(|one| {
            let full = one.name();
            full.eq_ignore_ascii_case(name)
                || full.strip_prefix("CAP_").is_some_and(|short| short.eq_ignore_ascii_case(name))
        })
    }

    const fn bit(self) -> u64 {
        1 << self as u64
    }
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// Nothing.
    pub const EMPTY: CapSet = CapSet(0);

    /// These and no others.
    #[must_use]
    pub fn of(held: &[Capability]) -> Self {
        CapSet(held.iter().fold(0, |bits, one| bits | one.bit()))
    }

    /// The set written as the hexadecimal mask of `/proc/PID/status`.
    #[must_use]
    pub fn from_hex(mask: &str) -> Option<Self> {
        u64::from_str_radix(mask.trim(), 16).ok().map(CapSet)
    }

    /// This one is in it.
    #[must_use]
    pub const fn has(self, one: Capability) -> bool {
        self.0 & one.bit() != 0
    }

    /// May load BPF programs: `CAP_BPF`, or `CAP_SYS_ADMIN` that includes it.
    #[must_use]
    pub const fn may_bpf(self) -> bool {
        self.has(Capability::Bpf) || self.has(Capability::SysAdmin)
    }

    /// May read the kernel log when `kernel.dmesg_restrict` is set.
    #[must_use]
    pub const fn may_syslog(self) -> bool {
        self.has(Capability::Syslog) || self.has(Capability::SysAdmin)
    }

    /// What is in it that this program has a name for.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |one| self.has(*one))
    }

    /// The mask.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// The sets of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    /// What it may do now.
    pub effective: CapSet,
    /// What it may take.
    pub permitted: CapSet,
    /// What programs it executes may inherit.
    pub inheritable: CapSet,
}

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The calling thread's sets. They count in the user namespace the thread is in.
pub fn sets() -> Result<Sets> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: version 3 reads the header and writes two data structures, which the array holds.
    let code = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    if code != 0 {
        return Err(SysError::last("capget", ""));
    }
    let [low, high] = halves;
    let join = |low: u32, high: u32| CapSet(u64::from(high) << 32 | u64::from(low));
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// What the calling thread may do now.
pub fn effective() -> Result<CapSet> {
    Ok(sets()?.effective)
}

/// Gives up everything not in `keep`, for good, and for this thread only: threads started later inherit it,
/// those already running keep theirs. Asking for more than is held is refused.
pub fn keep_only(keep: CapSet) -> Result<()> {
    let held = sets()?;
    let missing = CapSet(keep.0 & !held.permitted.0);
    if let Some(one) = missing.iter().next() {
        return Err(SysError::new("capset", one.name(), Errno::EPERM));
    }
    // The ambient set would hand capabilities on through execve.
    // SAFETY: plain numbers; unused arguments must be zero. Kernels without the ambient set have nothing to clear.
    unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    let half = |shift: u32| {
        let bits = (keep.0 >> shift) as u32;
        let inheritable = ((keep.0 & held.inheritable.0) >> shift) as u32;
        Half { effective: bits, permitted: bits, inheritable }
    };
    let mut header = Header { version: VERSION_3, pid: 0 };
    let halves = [half(0), half(32)];
    // SAFETY: version 3 reads the header and two data structures, which the array holds.
    let code = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    if code != 0 { Err(SysError::last("capset", "")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_proc_agree() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
        assert_eq!(effective().unwrap(), CapSet::from_hex(mask).unwrap());
    }

    #[test]
    fn names_lead_back() {
        for (index, one) in Capability::ALL.iter().enumerate() {
            assert_eq!(*one as usize, index);
            assert_eq!(Capability::from_name(one.name()), Some(*one));
        }
        assert_eq!(Capability::from_name("net_admin"), Some(Capability::NetAdmin));
        assert_eq!(CapSet::of(&[Capability::Bpf]).iter().collect::<Vec<_>>(), [Capability::Bpf]);
    }

    #[test]
    fn what_is_given_up_is_gone_in_this_thread_only() {
        let before = effective().unwrap();
        std::thread::spawn(move || {
            let keep = CapSet(before.bits() & CapSet::of(&[Capability::NetRaw]).bits());
            keep_only(keep).unwrap();
            assert_eq!(effective().unwrap(), keep);
            let more = CapSet::of(&[Capability::SysAdmin]);
            assert_eq!(keep_only(more).unwrap_err().errno, Errno::EPERM);
        })
        .join()
        .unwrap();
        assert_eq!(effective().unwrap(), before);
    }
}
