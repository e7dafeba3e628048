//! Legacy tables of iptables, ip6tables, arptables and ebtables, as the kernel keeps them.
//!
//! uapi `linux/netfilter_ipv4/ip_tables.h` and its siblings: two socket options to read a table, one to
//! replace it. What is in the entries is for others to say. Needs `CAP_NET_ADMIN`.
//!
//! Asking for a table that a namespace does not use would create it there, hooks and all, and load modules
//! for it. So reading looks first at what `/proc` says is in use and refuses the rest with `ENOENT`.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use crate::errno::Errno;
use crate::error::{Result, SysError};
use crate::fd;

/// Which program's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// iptables.
    Ipv4,
    /// ip6tables.
    Ipv6,
    /// arptables.
    Arp,
    /// ebtables. The kernel does not say which namespace uses a table: one that has rules in any namespace
    /// is read, and an unused one then comes into being, empty, in the reader's. Look at the bridge hooks
    /// over nfnetlink first.
    Bridge,
}

impl Family {
    /// How many hooks there are room for in the structures.
    const fn hooks(self) -> usize {
        match self {
            Family::Ipv4 | Family::Ipv6 => 5,
            Family::Arp => 3,
            Family::Bridge => 6,
        }
    }

    /// The number of the first option: replace when set, information when got, entries one above.
    const fn option(self) -> i32 {
        match self {
            Family::Ipv4 | Family::Ipv6 => 64,
            Family::Arp => 96,
            Family::Bridge => 128,
        }
    }

    const fn level(self) -> i32 {
        match self {
            Family::Ipv6 => libc::IPPROTO_IPV6,
            _ => libc::IPPROTO_IP,
        }
    }

    const fn names_file(self) -> Option<&'static str> {
        match self {
            Family::Ipv4 => Some("/proc/thread-self/net/ip_tables_names"),
            Family::Ipv6 => Some("/proc/thread-self/net/ip6_tables_names"),
            Family::Arp => Some("/proc/thread-self/net/arp_tables_names"),
            Family::Bridge => None,
        }
    }

    fn socket(self) -> Result<OwnedFd> {
        let family = if self == Family::Ipv6 { libc::AF_INET6 } else { libc::AF_INET };
        fd::socket(family, libc::SOCK_DGRAM, 0)
    }
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Whose.
    pub family: Family,
    /// Its name.
    pub name: String,
    /// A bit for each hook it is called at.
    pub valid_hooks: u32,
    /// Where each hook's chain starts, as an offset into the entries. Meaningless for a hook that is not
    /// valid; empty for bridges, whose chains carry headers of their own.
    pub hook_entry: Vec<u32>,
    /// Where each hook's policy is.
    pub underflow: Vec<u32>,
    /// How many entries; policies and chain heads are entries too.
    pub count: u32,
    /// The entries, one after the other.
    pub entries: Vec<u8>,
    /// Bridges only: `struct ebt_counter`, packets and bytes, for each rule. The others have theirs inside.
    pub counters: Vec<u8>,
}

/// The tables in use in the calling thread's network namespace.
///
/// `ENOENT`: the kernel has no such tables at all, or not loaded. `EACCES`: only root may look.
pub fn tables(family: Family) -> Result<Vec<String>> {
    let path = family.names_file().unwrap_or("/proc/modules");
    let text = fs::read_to_string(path).map_err(|error| SysError::io("read", path, &error))?;
    Ok(match family {
        Family::Bridge => bridge_tables(&text),
        _ => text.lines().map(str::to_owned).collect(),
    })
}

/// Each bridge table is a module, used as often as there are namespaces with rules in it.
fn bridge_tables(modules: &str) -> Vec<String> {
    let used = |line: &str| {
        let mut words = line.split_whitespace();
        let table = words.next()?.strip_prefix("ebtable_")?;
        let uses: u32 = words.nth(1)?.parse().ok()?;
        (uses > 0).then(|| table.to_owned())
    };
    modules.lines().filter_map(used).collect()
}

/// Reads a table of the calling thread's network namespace. Refuses one that is not in use (`ENOENT`).
pub fn read(family: Family, name: &str) -> Result<Table> {
    if !tables(family)?.iter().any(|one| one == name) {
        return Err(SysError::new("read legacy table", name, Errno::ENOENT));
    }
    let mut tries = 0;
    loop {
        tries += 1;
        match read_once(family, name) {
            // The table was replaced between the two questions.
            Err(error) if error.errno == Errno::EAGAIN && tries < 5 => {}
            result => return result,
        }
    }
}

fn read_once(family: Family, name: &str) -> Result<Table> {
    let socket = family.socket()?;
    if family == Family::Bridge {
        return read_bridge(&socket, name);
    }
    let mut table = information(&socket, family, name)?;
    // struct ipt_get_entries: name, size, and the entries at the next multiple of eight.
    let mut bytes = named(name, 40);
    let size = table.entries.len();
    put(&mut bytes, 32, &(size as u32).to_ne_bytes());
    bytes.resize(40 + size, 0);
    let option = family.option() + 1;
    let operation = "getsockopt IPT_SO_GET_ENTRIES";
    fd::get_option(socket.as_fd(), family.level(), option, &mut bytes, operation)
        .map_err(|error| SysError { object: name.to_owned(), ..error })?;
    table.entries = bytes.split_off(40);
    Ok(table)
}

/// The heading of a table; the entries have their size but not yet their content.
fn information(socket: &OwnedFd, family: Family, name: &str) -> Result<Table> {
    // struct ipt_getinfo: name, valid hooks, entry points, underflows, number and size of entries.
    let hooks = family.hooks();
    let mut bytes = named(name, 32 + 4 * (3 + 2 * hooks));
    let operation = "getsockopt IPT_SO_GET_INFO";
    fd::get_option(socket.as_fd(), family.level(), family.option(), &mut bytes, operation)
        .map_err(|error| SysError { object: name.to_owned(), ..error })?;
    let mut words = bytes.get(32..).unwrap_or(&[]).chunks_exact(4).map(word);
    let mut take = || words.next().unwrap_or(0);
    let valid_hooks = take();
    let hook_entry = (0..hooks).map(|_| take()).collect();
    let underflow = (0..hooks).map(|_| take()).collect();
    let count = take();
    let size = take() as usize;
    let entries = vec![0; size];
    let name = name.to_owned();
    Ok(Table { family, name, valid_hooks, hook_entry, underflow, count, entries, counters: Vec::new() })
}

/// A table to put in place of the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTable<'a> {
    /// Its name.
    pub name: &'a str,
    /// As the present table has them.
    pub valid_hooks: u32,
    /// Where each hook's chain starts; five offsets, three for ARP.
    pub hook_entry: &'a [u32],
    /// Where each hook's policy is.
    pub underflow: &'a [u32],
    /// How many entries.
    pub count: u32,
    /// The entries.
    pub entries: &'a [u8],
}

/// Replaces a table of the calling thread's network namespace. This changes the system and creates what is
/// missing: for namespaces one has made. Bridges are not supported.
pub fn replace(family: Family, new: &NewTable<'_>) -> Result<()> {
    let operation = "setsockopt IPT_SO_SET_REPLACE";
    let hooks = family.hooks();
    if family == Family::Bridge {
        return Err(SysError::new(operation, new.name, Errno::EOPNOTSUPP));
    }
    if new.hook_entry.len() != hooks || new.underflow.len() != hooks {
        return Err(SysError::new(operation, new.name, Errno::EINVAL));
    }
    let socket = family.socket()?;
    let old = information(&socket, family, new.name)?.count;
    // The kernel hands back the counters of the entries that go: struct xt_counters, two numbers of 8 bytes.
    let mut counters = vec![0_u64; 2 * old as usize];
    let mut bytes = named(new.name, 32);
    let size = u32::try_from(new.entries.len()).unwrap_or(u32::MAX);
    let words = [new.valid_hooks, new.count, size];
    for word in words.iter().chain(new.hook_entry).chain(new.underflow).chain([&old]) {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0);
    bytes.extend_from_slice(&(counters.as_mut_ptr() as usize).to_ne_bytes());
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes.extend_from_slice(new.entries);
    // SAFETY: `counters` has room for `old` entries, which the kernel checks to be exactly as many as go, and
    // lives until after the call.
    let result = unsafe {
        fd::set_option_with_pointers(socket.as_fd(), family.level(), family.option(), &bytes, operation)
    };
    let result = result.map_err(|error| SysError { object: new.name.to_owned(), ..error });
    drop(counters);
    result
}

/// `struct ebt_replace` serves for both questions; pointers and lengths are in it.
fn read_bridge(socket: &OwnedFd, name: &str) -> Result<Table> {
    const WORD: usize = size_of::<usize>();
    // name, valid hooks, entries, size; six chain pointers; number of counters; two pointers.
    const HOOKS: usize = 44_usize.next_multiple_of(WORD);
    const COUNT: usize = HOOKS + 6 * WORD;
    const COUNTERS: usize = (COUNT + 4).next_multiple_of(WORD);
    const SIZE: usize = COUNTERS + 2 * WORD;
    let family = Family::Bridge;
    let named_error = |error| SysError { object: name.to_owned(), ..error };
    let mut bytes = named(name, SIZE);
    let operation = "getsockopt EBT_SO_GET_INFO";
    // SAFETY: this option only fills in the structure itself; the pointers it brings back are the kernel's
    // and not used.
    unsafe {
        fd::get_option_with_pointers(socket.as_fd(), family.level(), family.option(), &mut bytes, operation)
    }
    .map_err(named_error)?;
    let at = |offset: usize| bytes.get(offset..).map_or(0, word);
    let (valid_hooks, count, size) = (at(32), at(36), at(40));
    let mut entries = vec![0_u8; size as usize];
    let mut counters = vec![0_u8; 16 * count as usize];
    let mut bytes = named(name, SIZE);
    put(&mut bytes, 32, &valid_hooks.to_ne_bytes());
    put(&mut bytes, 36, &count.to_ne_bytes());
    put(&mut bytes, 40, &size.to_ne_bytes());
    put(&mut bytes, COUNT, &count.to_ne_bytes());
    put(&mut bytes, COUNTERS, &(counters.as_mut_ptr() as usize).to_ne_bytes());
    put(&mut bytes, COUNTERS + WORD, &(entries.as_mut_ptr() as usize).to_ne_bytes());
    let operation = "getsockopt EBT_SO_GET_ENTRIES";
    let option = family.option() + 1;
    // SAFETY: the kernel refuses sizes that are not the table's, so it writes no more than the two buffers
    // hold; both live until after the call.
    unsafe { fd::get_option_with_pointers(socket.as_fd(), family.level(), option, &mut bytes, operation) }
        .map_err(named_error)?;
    let name = name.to_owned();
    let (hook_entry, underflow) = (Vec::new(), Vec::new());
    Ok(Table { family, name, valid_hooks, hook_entry, underflow, count, entries, counters })
}

/// A structure of `size` bytes that starts with a table's name in 32 bytes, the last of them NUL.
fn named(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    for (to, from) in bytes.iter_mut().take(31).zip(name.bytes()) {
        *to = from;
    }
    bytes
}

fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + value.len()) {
        place.copy_from_slice(value);
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NewNet, new_netns};

    #[test]
    fn a_table_nobody_uses_is_not_brought_to_life() {
        let NewNet::Here(()) = new_netns(|| {
            for family in [Family::Ipv4, Family::Ipv6, Family::Arp, Family::Bridge] {
                match tables(family) {
                    Err(error) => println!("{family:?}: not in this kernel ({error})"),
                    Ok(names) => {
                        assert_eq!(names, Vec::<String>::new());
                        assert_eq!(read(family, "filter").unwrap_err().errno, Errno::ENOENT);
                        assert_eq!(tables(family).unwrap(), Vec::<String>::new(), "reading made it");
                    }
                }
            }
        }) else {
            return;
        };
    }

    /// An entry: match nothing, then this target. `offsets` is where the entry keeps its two lengths.
    fn entry(header: usize, offsets: usize, target: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; header];
        put(&mut bytes, offsets, &(header as u16).to_ne_bytes());
        put(&mut bytes, offsets + 2, &((header + target.len()) as u16).to_ne_bytes());
        bytes.extend_from_slice(target);
        bytes
    }

    /// `struct xt_standard_target`.
    fn verdict(verdict: i32) -> Vec<u8> {
        let mut bytes = vec![0; 40];
        put(&mut bytes, 0, &40_u16.to_ne_bytes());
        put(&mut bytes, 32, &verdict.to_ne_bytes());
        bytes
    }

    /// `struct xt_error_target`, which ends every table.
    fn end() -> Vec<u8> {
        let mut bytes = vec![0; 64];
        put(&mut bytes, 0, &64_u16.to_ne_bytes());
        put(&mut bytes, 2, b"ERROR");
        put(&mut bytes, 32, b"ERROR");
        bytes
    }

    #[test]
    fn a_table_that_was_set_is_read_back() {
        const DROP: i32 = -1;
        const ACCEPT: i32 = -2;
        let NewNet::Here(()) = new_netns(|| {
            // Sizes of struct ipt_entry, ip6t_entry and arpt_entry, and where each keeps its lengths; the
            // hooks of its filter table, the one that drops first.
            for (family, header, offsets, hooks) in [
                (Family::Ipv4, 112, 88, &[1, 2, 3][..]),
                (Family::Ipv6, 168, 140, &[1, 2, 3]),
                (Family::Arp, 192, 164, &[0, 1, 2]),
            ] {
                if let Err(error) = tables(family) {
                    println!("{family:?}: not in this kernel ({error})");
                    continue;
                }
                let mut hook_entry = vec![0; family.hooks()];
                let mut entries = Vec::new();
                for (index, &hook) in hooks.iter().enumerate() {
                    hook_entry[hook] = entries.len() as u32;
                    entries.extend(entry(header, offsets, &verdict(if index == 0 { DROP } else { ACCEPT })));
                }
                entries.extend(entry(header, offsets, &end()));
                let new = NewTable {
                    name: "filter",
                    valid_hooks: hooks.iter().fold(0, |bits, hook| bits | 1 << hook),
                    hook_entry: &hook_entry,
                    underflow: &hook_entry,
                    count: hooks.len() as u32 + 1,
                    entries: &entries,
                };
                match replace(family, &new) {
                    Err(error) if error.errno == Errno::ENOENT => {
                        println!("{family:?}: this kernel has no filter table");
                        continue;
                    }
                    result => result.unwrap(),
                }
                assert_eq!(tables(family).unwrap(), ["filter"]);
                let table = read(family, "filter").unwrap();
                assert_eq!((table.valid_hooks, table.count), (new.valid_hooks, new.count));
                assert_eq!(table.entries.len(), entries.len());
                for (index, &hook) in hooks.iter().enumerate() {
                    let at = table.hook_entry[hook] as usize + header + 32;
                    let found = i32::from_ne_bytes(table.entries[at..at + 4].try_into().unwrap());
                    assert_eq!(found, if index == 0 { DROP } else { ACCEPT });
                    assert_eq!(table.underflow[hook], table.hook_entry[hook]);
                }
                let mangled = NewTable { count: new.count + 1, ..new };
                assert_eq!(replace(family, &mangled).unwrap_err().errno, Errno::EINVAL);
            }
        }) else {
            return;
        };
    }

    #[test]
    fn bridge_tables_are_told_by_their_modules() {
        let modules = "ebtable_filter 16384 1 - Live 0x0\nebtable_nat 16384 0 - Live 0x0\nebtables 45056 2 ebtable_filter, Live 0x0\n";
        assert_eq!(bridge_tables(modules), ["filter"]);
    }
}
