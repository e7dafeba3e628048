//! The result of a compilation: programs, maps, formats and actions, with everything a loader and a printer need.
//!
//! A [`ProgramSpec`] depends on the script, the types, the probes and the features only; the same input gives the
//! same bytes. Nothing in it is a descriptor: instructions name maps by index through [`Reloc`]s.
//!
//! Records in the ring all start with [`RECORD_HEADER`] bytes: the action's index (u32) and the program's index
//! (u32). What follows is laid out as the action's `args` say.

use serde::{Deserialize, Serialize};

pub use crate::insn::Insn;

/// Bytes before the arguments in each record of the ring: action (u32), program (u32).
pub const RECORD_HEADER: u32 = 8;

/// A compiled script.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// Programs in the order of the script.
    pub programs: Vec<Program>,
    /// Maps; relocations name them by index.
    pub maps: Vec<MapSpec>,
    /// What a record in the ring asks user space to do; a record names its action by index.
    pub actions: Vec<Action>,
    /// `config = { .. }` and the environment's settings after checking.
    pub config: Config,
    /// Positional parameters the script reads (`$1` is 1), so a caller can tell unused ones.
    pub params: Vec<u32>,
}

/// Settings that shape code or output; defaults are those of bpftrace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Bytes of a string, terminating NUL included.
    pub max_strlen: u32,
    /// Entries of a map without a declared size.
    pub max_map_keys: u32,
    /// What to do with probes that do not exist.
    pub missing_probes: MissingProbes,
    /// Whether maps are printed when the script ends.
    pub print_maps_on_exit: bool,
    /// Settings for user space as written: name and value.
    pub other: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_strlen: 1024,
            max_map_keys: 4096,
            missing_probes: MissingProbes::Error,
            print_maps_on_exit: true,
            other: Vec::new(),
        }
    }
}

/// What to do with probes that do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MissingProbes {
    /// Refuse the script.
    Error,
    /// Say so and go on.
    Warn,
    /// Go on.
    Ignore,
}

/// One program and every place it is attached to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Index as in records, and of its slots in the maps with [`Role::Scratch`] and [`Role::Lost`].
    pub index: u32,
    /// Name for listings and for the kernel (15 characters of letters, digits and `_`).
    pub name: String,
    /// How to load it.
    pub kind: Kind,
    /// Where to attach it; more than one when the body does not depend on the place.
    pub attach: Vec<Attach>,
    /// Whether the body reads its context in a way particular to `kind`. When not, a loader may load it as any
    /// tracing kind whose places fire at the same events (for example raw tracepoints instead of tracepoints).
    pub reads_context: bool,
    /// Whether the body asks for the attach cookie; each place then gets its index in `attach` as cookie.
    pub wants_cookie: bool,
    /// Instructions, subprograms (callbacks) included.
    pub insns: Vec<Insn>,
    /// What the loader fills in.
    pub relocs: Vec<Reloc>,
    /// First instruction and name of callbacks that follow the main body; kernels want `func_info` for them.
    pub subprograms: Vec<Subprogram>,
    /// For each run of instructions the place in the script, ascending by `insn`.
    pub lines: Vec<LineMark>,
}

/// A function of a program other than its entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subprogram {
    /// Index of its first instruction.
    pub insn: u32,
    /// Name.
    pub name: String,
    /// How many 64-bit arguments it takes: 2 for `bpf_loop` callbacks, 4 for `bpf_for_each_map_elem`.
    pub params: u8,
}

/// Instructions from `insn` on come from this place of the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineMark {
    /// Index of an instruction.
    pub insn: u32,
    /// First byte in the script.
    pub start: u32,
    /// Byte after the last.
    pub end: u32,
}

/// What a program is loaded as (`BPF_PROG_TYPE_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// `BEGIN`, `END`, `self`: run once by user space; loaded as a raw tracepoint and run with `PROG_TEST_RUN`, or by
    /// any other means that gives a process context.
    Once,
    /// `BPF_PROG_TYPE_TRACEPOINT`: context is the record.
    Tracepoint,
    /// `BPF_PROG_TYPE_RAW_TRACEPOINT`: context is an array of 64-bit arguments.
    RawTracepoint,
    /// `BPF_PROG_TYPE_TRACING` with `BPF_TRACE_RAW_TP`: as above, arguments typed by BTF.
    BtfTracepoint,
    /// `BPF_PROG_TYPE_KPROBE`: kprobe, kretprobe, uprobe, uretprobe, usdt; context is `struct pt_regs`.
    Kprobe,
    /// `BPF_PROG_TYPE_TRACING` with `BPF_TRACE_FENTRY`.
    Fentry,
    /// `BPF_PROG_TYPE_TRACING` with `BPF_TRACE_FEXIT`.
    Fexit,
    /// `BPF_PROG_TYPE_PERF_EVENT`: interval, profile, software, hardware.
    PerfEvent,
    /// `BPF_PROG_TYPE_TRACING` with `BPF_TRACE_ITER`.
    Iter,
}

/// A place to attach to, wildcards expanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Attach {
    /// Before all other probes.
    Begin,
    /// After all other probes are detached.
    End,
    /// A signal to netwhy itself, for example `SIGUSR1`.
    SelfSignal(String),
    /// Every so many nanoseconds on one CPU.
    Interval {
        /// Period.
        ns: u64,
        /// Unit and number as written, `hz:99`.
        written: String,
    },
    /// Every so many nanoseconds on each CPU.
    Profile {
        /// Period.
        ns: u64,
        /// Unit and number as written, `hz:99`.
        written: String,
    },
    /// A tracepoint of tracefs.
    Tracepoint {
        /// Category.
        category: String,
        /// Event.
        event: String,
    },
    /// A raw tracepoint; for [`Kind::BtfTracepoint`] the event whose `btf_trace_NAME` gives the attach id.
    RawTracepoint {
        /// Event.
        event: String,
    },
    /// Entry of a kernel function, `offset` bytes in.
    Kprobe {
        /// Function.
        function: String,
        /// Bytes.
        offset: u64,
    },
    /// Return of a kernel function.
    Kretprobe {
        /// Function.
        function: String,
    },
    /// Entry of a kernel function by trampoline.
    Fentry {
        /// Module, `None` for vmlinux.
        module: Option<String>,
        /// Function.
        function: String,
    },
    /// Return of a kernel function by trampoline.
    Fexit {
        /// Module, `None` for vmlinux.
        module: Option<String>,
        /// Function.
        function: String,
    },
    /// A user function; `path` as written (`libc` and names without a slash are searched for).
    Uprobe {
        /// File.
        path: String,
        /// Symbol or empty when only an address is given.
        symbol: String,
        /// Bytes after the symbol, or the file's virtual address.
        offset: u64,
    },
    /// Return of a user function.
    Uretprobe {
        /// File.
        path: String,
        /// Symbol.
        symbol: String,
    },
    /// A statically defined user probe.
    Usdt {
        /// File.
        path: String,
        /// Provider, may be empty.
        provider: String,
        /// Probe.
        name: String,
        /// Bytes from the file's start; 0 when nobody has looked yet.
        offset: u64,
        /// Where in the file the counter is that tells the program somebody looks; 0 for none.
        semaphore: u64,
        /// Where the arguments are, in the notation of the assembler.
        args: String,
    },
    /// An address that is read, written or executed.
    Watchpoint {
        /// Where.
        address: u64,
        /// Bytes: 1, 2, 4 or 8.
        length: u64,
        /// Letters of `r`, `w` and `x`.
        mode: String,
    },
    /// A software perf event.
    Software {
        /// Name, for example `cpu-clock`.
        event: String,
        /// Every so many events; 0 for the default.
        period: u64,
    },
    /// A hardware perf event.
    Hardware {
        /// Name, for example `cycles`.
        event: String,
        /// Every so many events; 0 for the default.
        period: u64,
    },
    /// A BPF iterator.
    Iter {
        /// Target, for example `tcp`.
        target: String,
    },
}

/// What the loader writes into a `lddw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloc {
    /// Index of the first of the two instructions.
    pub insn: u32,
    /// What to write.
    pub target: RelocTarget,
}

/// The meaning of a relocated immediate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RelocTarget {
    /// Descriptor of `maps[n]` (`BPF_PSEUDO_MAP_FD`).
    Map(u32),
    /// Address of a value of an array map with one entry (`BPF_PSEUDO_MAP_VALUE`): map and offset in the value.
    MapValue(u32, u32),
    /// A subprogram (`BPF_PSEUDO_FUNC`): the immediate is already relative; nothing to fill, `func_info` is needed.
    Subprogram(u32),
}

/// A map to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapSpec {
    /// `@name` for maps of the script, another name for internal ones.
    pub name: String,
    /// `BPF_MAP_TYPE_*`.
    pub kind: MapKind,
    /// Bytes of a key.
    pub key_size: u32,
    /// Bytes of a value (of each CPU for per-CPU maps).
    pub value_size: u32,
    /// Entries. For [`MapKind::Ring`] bytes of the ring.
    pub max_entries: u32,
    /// What it is for.
    pub role: Role,
    /// For maps of the script: shape of the key in memory; `None` for scalars (their only key is 0).
    pub key: Option<Shape>,
    /// For maps of the script: how to read values.
    pub value: Option<Value>,
    /// For scalars, which live in arrays: where in the value (of each CPU) a word says whether it was ever set.
    pub present: Option<u32>,
}

/// `BPF_MAP_TYPE_*`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapKind {
    /// `HASH`
    Hash,
    /// `PERCPU_HASH`
    PercpuHash,
    /// `LRU_HASH`
    LruHash,
    /// `LRU_PERCPU_HASH`
    LruPercpuHash,
    /// `ARRAY`
    Array,
    /// `PERCPU_ARRAY`
    PercpuArray,
    /// `RINGBUF`
    Ring,
    /// `STACK_TRACE`; the loader sets the value size.
    StackTrace,
}

/// What a map is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// A `@map` of the script.
    Script,
    /// Temporary room, one entry per program (`Program::index`).
    Scratch,
    /// Records to user space.
    Ring,
    /// Per-CPU u64 for each program: records that found no room in the ring.
    Lost,
    /// Per-CPU u64 for each program: updates of maps that failed (full).
    Full,
    /// Stacks by id.
    Stacks,
    /// Two u64 of nanoseconds that user space writes before attaching: the start of `elapsed` (`CLOCK_BOOTTIME`), and
    /// what is added to that clock for the time of day.
    Start,
}

/// How the values of a script's map are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A plain value.
    Plain(Shape),
    /// `count()`: a u64 per CPU.
    Count,
    /// `sum()`: a u64 per CPU.
    Sum {
        /// Whether the sum is signed.
        signed: bool,
    },
    /// `min()`: value (u64) and whether it is set (u64), per CPU.
    Min {
        /// Whether values are signed.
        signed: bool,
    },
    /// `max()`: as `min`.
    Max {
        /// Whether values are signed.
        signed: bool,
    },
    /// `avg()`: total (u64) and count (u64), per CPU.
    Avg {
        /// Whether values are signed.
        signed: bool,
    },
    /// `stats()`: as `avg`.
    Stats {
        /// Whether values are signed.
        signed: bool,
    },
    /// `hist()`: a u64 per CPU for each bucket. The bucket (see [`hist_range`]) is the key of a scalar map (u32,
    /// array) or the last eight bytes of the key of a keyed one.
    Hist {
        /// Buckets per power of two as a power of two, 0 to 5.
        bits: u8,
    },
    /// `tseries()`: for each of the last intervals a value (u64), how many it is made of or when it was set (u64, 0
    /// while there is none) and the interval's number (u64) since 1970, per CPU. The place in the key is that of
    /// `hist`'s bucket: the number modulo `count`.
    Tseries {
        /// Nanoseconds of an interval.
        interval: u64,
        /// Intervals kept.
        count: u32,
        /// What becomes of several values in one interval.
        kind: Series,
        /// Whether values are signed.
        signed: bool,
    },
    /// `lhist()`: as `hist`; see [`lhist_range`].
    Lhist {
        /// Lower bound.
        min: i64,
        /// Upper bound.
        max: i64,
        /// Width of a bucket.
        step: i64,
    },
}

/// What becomes of several values in one interval of a `tseries()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Series {
    /// The last one stays.
    Last,
    /// Their average.
    Avg,
    /// Their sum.
    Sum,
    /// The least.
    Min,
    /// The greatest.
    Max,
}

/// The shape of bytes in memory: a key, a value or an argument. Numbers are native endian.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    /// Eight bytes.
    Int {
        /// Whether it is signed.
        signed: bool,
    },
    /// Eight bytes, 0 or 1.
    Bool,
    /// Eight bytes, printed in hex when alone.
    Ptr,
    /// Eight bytes.
    Enum {
        /// Names and values.
        values: Vec<(String, i64)>,
    },
    /// A string of this many bytes, ended by NUL, zero after it.
    Str {
        /// Bytes.
        size: u32,
    },
    /// Length (u32), then so many bytes of at most `max`; the slot is `4 + max` rounded up to 8.
    Buf {
        /// Most bytes.
        max: u32,
    },
    /// Address family (u32: 2 or 10), 16 bytes of address, 4 of padding: 24 bytes.
    Inet,
    /// Six bytes of address in eight.
    Mac,
    /// A kernel address, printed as symbol; eight bytes.
    Ksym,
    /// A user address (u64) and the process (u64), printed as symbol.
    Usym,
    /// An id in the map with [`Role::Stacks`] (i64; negative: an error).
    Kstack {
        /// Frames to show at most.
        depth: u32,
        /// `bpftrace`, `perf` or `raw`.
        mode: String,
    },
    /// Stack id (i64) and the process (u64).
    Ustack {
        /// Frames to show at most.
        depth: u32,
        /// `bpftrace`, `perf` or `raw`.
        mode: String,
    },
    /// Nanoseconds since boot (u64) to format with this strftime pattern.
    Timestamp {
        /// Pattern.
        format: String,
    },
    /// A cgroup id (u64), printed as path.
    CgroupPath,
    /// Parts one after the other at these offsets; names when it is a record.
    Tuple {
        /// Total bytes, a multiple of 8.
        size: u32,
        /// Parts.
        parts: Vec<Part>,
    },
    /// `len` values one after the other, each of `elem.size()` bytes.
    Array {
        /// Element.
        elem: Box<Shape>,
        /// Elements.
        len: u32,
    },
    /// A user's number (u64), printed as name.
    Username,
    /// An error's number (u64), printed as text.
    Errno,
    /// A signal's number (u64), printed as text.
    Signal,
    /// A structure or array as C lays it out.
    Raw {
        /// Bytes, rounded up to 8.
        size: u32,
        /// What the bytes are.
        of: Raw,
    },
}

/// A part of a tuple or record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Name in a record, empty in a tuple.
    pub name: String,
    /// Bytes from the start of the tuple.
    pub offset: u32,
    /// Shape.
    pub shape: Shape,
}

/// Bytes as C lays them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Raw {
    /// A number.
    Int {
        /// Bytes.
        size: u32,
        /// Whether it is signed.
        signed: bool,
    },
    /// A truth value in one byte.
    Bool,
    /// An address in eight bytes.
    Ptr,
    /// An enumeration.
    Enum {
        /// Bytes.
        size: u32,
        /// Names and values.
        values: Vec<(String, i64)>,
    },
    /// Characters, ended by NUL or by their number.
    Chars {
        /// Bytes.
        size: u32,
    },
    /// Elements one after the other.
    Array {
        /// Element.
        elem: Box<Raw>,
        /// Bytes of an element.
        step: u32,
        /// Elements.
        len: u32,
    },
    /// A structure or union.
    Struct {
        /// Members.
        members: Vec<RawMember>,
    },
    /// Nothing that could be shown.
    None,
}

/// A member of a structure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawMember {
    /// Name.
    pub name: String,
    /// Bytes from the start.
    pub offset: u32,
    /// For a bit-field: bits from that byte on, and how many.
    pub bits: Option<(u32, u32)>,
    /// What it is.
    pub of: Raw,
}

impl Shape {
    /// Bytes it takes, a multiple of 8.
    pub fn size(&self) -> u32 {
        match self {
            Self::Str { size } => size.next_multiple_of(8),
            Self::Buf { max } => (4 + max).next_multiple_of(8),
            Self::Inet => 24,
            Self::Usym | Self::Ustack { .. } => 16,
            Self::Tuple { size, .. } | Self::Raw { size, .. } => *size,
            Self::Array { elem, len } => elem.size().saturating_mul(*len),
            _ => 8,
        }
    }
}

/// What a record asks for. `args` are the record's bytes after the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Print formatted.
    Printf {
        /// Format, escapes already replaced.
        format: String,
        /// Arguments.
        args: Vec<Part>,
        /// Whether it goes to stderr (`errorf`, `warnf` with their prefix).
        to: Stream,
    },
    /// Print a whole map; `args`: top (u64, 0 = all), divisor (u64, 0 = none).
    PrintMap {
        /// Index of the map.
        map: u32,
    },
    /// Print one value: of a map at a key, or any expression.
    PrintValue {
        /// `@name[..]` prefix is printed from this map and `key`, when there is one.
        map: Option<u32>,
        /// The key, for a map.
        key: Option<Part>,
        /// The value; for aggregations of a map user space reads it itself.
        value: Option<Part>,
    },
    /// Remove all entries.
    Clear {
        /// Index of the map.
        map: u32,
    },
    /// Set all values to zero.
    Zero {
        /// Index of the map.
        map: u32,
    },
    /// Remove all buckets of a keyed histogram at this key.
    DeleteHist {
        /// Index of the map.
        map: u32,
        /// The key, without bucket.
        key: Part,
    },
    /// End; `args`: exit code (u64).
    Exit,
    /// Print the time of day.
    Time {
        /// strftime pattern.
        format: String,
    },
    /// Print a file, its name formatted.
    Cat {
        /// Format of the name.
        format: String,
        /// Arguments.
        args: Vec<Part>,
    },
    /// Run a command (only with `--unsafe`).
    System {
        /// Format of the command.
        format: String,
        /// Arguments.
        args: Vec<Part>,
    },
    /// Print strings joined; `args`: count (u64), then `slots` strings.
    Join {
        /// Between the strings.
        delimiter: String,
        /// Strings in the record.
        slots: u32,
        /// Bytes of each.
        slot_size: u32,
    },
    /// A typed record for netwhy itself: `emit(name, {..})`.
    Emit {
        /// Name of the record.
        name: String,
        /// Fields.
        fields: Vec<Part>,
    },
}

/// Where text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error: a warning; its format says place and level.
    Warn,
    /// Standard error: an error; its format says place and level.
    Error,
}

/// Bucket of a value in a logarithmic histogram with `2^bits` buckets per power of two.
pub fn hist_bucket(value: i64, bits: u8) -> u64 {
    let bits = u32::from(bits.min(5));
    if value < 0 {
        return 0;
    }
    let value = value as u64;
    if value < 1 << bits {
        return value + 1;
    }
    let shift = 63 - value.leading_zeros() - bits;
    ((u64::from(shift) + 1) << bits | ((value >> shift) & ((1 << bits) - 1))) + 1
}

/// Buckets of a logarithmic histogram, the one for negative values included.
pub fn hist_buckets(bits: u8) -> u32 {
    let bits = u32::from(bits.min(5));
    ((63 - bits) << bits) + (1 << bits) + 1
}

/// Lowest value of a bucket and the lowest of the next (inclusive, exclusive); `None` for an open end.
pub fn hist_range(bucket: u64, bits: u8) -> (Option<i64>, Option<i64>) {
    let bits = u32::from(bits.min(5));
    let low = |b: u64| -> Option<i64> {
        let b = b.checked_sub(1)?;
        if b < 1 << bits {
            return Some(b as i64);
        }
        let shift = (b >> bits) as u32 - 1;
        let mantissa = (b & ((1 << bits) - 1)) | (1 << bits);
        i64::try_from(u128::from(mantissa) << shift).ok()
    };
    (low(bucket), low(bucket + 1))
}

/// Buckets of a linear histogram, both open ends included.
pub fn lhist_buckets(min: i64, max: i64, step: i64) -> u32 {
    let span = i128::from(max) - i128::from(min);
    u32::try_from((span.max(0) + i128::from(step.max(1)) - 1) / i128::from(step.max(1)) + 2)
        .unwrap_or(u32::MAX)
}

/// Bounds of a bucket of a linear histogram (inclusive, exclusive); `None` for an open end.
pub fn lhist_range(bucket: u64, min: i64, max: i64, step: i64) -> (Option<i64>, Option<i64>) {
    let last = u64::from(lhist_buckets(min, max, step)) - 1;
    match bucket {
        0 => (None, Some(min)),
        b if b >= last => (Some(max), None),
        b => {
            let low = min.saturating_add((b as i64 - 1).saturating_mul(step));
            (Some(low), Some(low.saturating_add(step).min(max)))
        }
    }
}
