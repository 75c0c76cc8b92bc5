//! `node_filesystem_*`: mounts from `/proc/1/mounts`, their sizes from `statvfs(3)`.
//!
//! `statvfs` of a network or FUSE mount whose server is gone can hang for good. So mounts of types that may hang
//! are asked on a [`Lane`]: one that does not answer within [`PATIENCE`] is left to its thread and not asked
//! again until that returns; other mounts go on. Its last answer stands until it is [`STALE_PASSES`] passes
//! old, then the mount has `node_filesystem_device_error` 1. Types that answer from the memory of the kernel
//! are asked at once, which spares every pass two changes of thread.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use regex::Regex;

use super::cap::Cap;
use super::file::Kept;
use super::text::{label, lines, words};
use crate::collect::filter::Filters;
use crate::collect::lane::{Done, Job, Lane};
use crate::collect::{CollectError, Collector, Paths};
use crate::exposition::page::PageWriter;
use crate::series::Kind;

/// How long one mount may hold up the others: a healthy server answers within a millisecond, and the pass has
/// other collectors to come.
const PATIENCE: Duration = Duration::from_millis(100);

/// For how many passes the last answer of a silent mount stands.
const STALE_PASSES: u32 = 2;

/// Types whose `statvfs` reads the superblock in memory: nothing that can fail is asked.
const IN_MEMORY: [&str; 11] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "vfat", "devtmpfs", "overlay"];

/// Asks for the figures of the mount at a path.
type Ask = Arc<dyn Fn(&Path) -> io::Result<Figures> + Send + Sync>;

pub(super) struct Filesystem {
    mounts_of_init: Kept,
    mounts_of_self: Kept,
    /// The text that was read last, and what is shown of it: mounts rarely change.
    text: Vec<u8>,
    mounts: Arc<[Mount]>,
    rootfs: PathBuf,
    points_excluded: Option<Regex>,
    types_excluded: Option<Regex>,
    cap: Cap,
    ask: Ask,
    lane: Lane<Question>,
    answers: Receiver<Done<Question>>,
    /// Mounts that were asked on the lane, by path.
    remote: HashMap<PathBuf, Remote>,
    patience: Duration,
    next_ticket: u64,
}

/// What `statvfs` says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    size: f64,
    free: f64,
    avail: f64,
    files: f64,
    files_free: f64,
}

#[derive(Debug, PartialEq, Eq)]
struct Mount {
    device: String,
    point: String,
    fs_type: String,
    read_only: bool,
}

/// A mount to be asked on the lane.
struct Question {
    path: PathBuf,
    ask: Ask,
}

impl Job for Question {
    type Answer = io::Result<Figures>;
    fn run(&mut self) -> Self::Answer {
        (self.ask)(&self.path)
    }
}

/// A mount that is asked on the lane.
#[derive(Debug, Default)]
struct Remote {
    /// The question that is out.
    asked: Option<u64>,
    last: Option<Figures>,
    /// Passes since it answered.
    silent: u32,
    /// Still in the list of mounts?
    mounted: bool,
}

impl fmt::Debug for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filesystem").field("remote", &self.remote).finish_non_exhaustive()
    }
}

impl Filesystem {
    pub(super) fn new(paths: &Paths, filters: &Filters) -> Self {
        Self::asking(paths, filters, PATIENCE, Arc::new(statvfs))
    }

    fn asking(paths: &Paths, filters: &Filters, patience: Duration, ask: Ask) -> Self {
        let (home, answers) = channel();
        Filesystem {
            mounts_of_init: Kept::new(paths.procfs.join("1/mounts")),
            mounts_of_self: Kept::new(paths.procfs.join("self/mounts")),
            text: Vec::new(),
            mounts: Arc::default(),
            rootfs: paths.rootfs.clone(),
            points_excluded: filters.pattern("collector.filesystem.mount-points-exclude"),
            types_excluded: filters.pattern("collector.filesystem.fs-types-exclude"),
            cap: Cap::new("filesystem", 7),
            ask,
            // The receiver goes with the collector, and then nobody wants the answer.
            lane: Lane::new("statvfs", move |done| drop(home.send(done))),
            answers,
            remote: HashMap::new(),
            patience,
            next_ticket: 0,
        }
    }

    /// The mounts to show, without those that stand twice.
    fn mounts(&mut self) -> Result<Arc<[Mount]>, CollectError> {
        // With hidepid the first is hidden from all but root.
        let text = match self.mounts_of_init.read() {
            Ok(text) => text,
            Err(_) => self.mounts_of_self.read()?,
        };
        if text == self.text {
            return Ok(Arc::clone(&self.mounts));
        }
        let excluded =
            |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_some_and(|p| p.is_match(text));
        let mut mounts: Vec<Mount> = Vec::new();
        for line in lines(text) {
            let Some(mount) = parse_mount(line, &self.rootfs) else { continue };
            let hidden = excluded(&self.points_excluded, &mount.point)
                || excluded(&self.types_excluded, &mount.fs_type);
            if !hidden {
                mounts.push(mount);
            }
        }
        // Of mounts over one another the last is the one that is seen; node_exporter shows the first.
        mounts.sort_by(|a, b| (&a.point, &a.device, &a.fs_type).cmp(&(&b.point, &b.device, &b.fs_type)));
        mounts.dedup_by(|a, b| (&a.point, &a.device, &a.fs_type) == (&b.point, &b.device, &b.fs_type));
        self.text = text.to_vec();
        self.mounts = mounts.into();
        Ok(Arc::clone(&self.mounts))
    }

    fn path(&self, mount: &Mount) -> PathBuf {
        self.rootfs.join(mount.point.trim_start_matches('/'))
    }

    /// Asks the mounts that may hang, and waits for each as long as patience allows.
    fn ask_remote<'a>(&mut self, mounts: impl Iterator<Item = &'a Mount>) {
        while let Ok(done) = self.answers.try_recv() {
            self.take_answer(done);
        }
        for remote in self.remote.values_mut() {
            remote.mounted = false;
        }
        let mut questions = Vec::new();
        for mount in mounts {
            let path = self.path(mount);
            let remote = self.remote.entry(path.clone()).or_default();
            if !std::mem::replace(&mut remote.mounted, true) && remote.asked.is_none() {
                self.next_ticket += 1;
                remote.asked = Some(self.next_ticket);
                questions.push((self.next_ticket, Question { path, ask: Arc::clone(&self.ask) }));
            }
        }
        // A mount that is gone is forgotten, but not while a thread hangs in it: it may come back.
        self.remote.retain(|_, remote| remote.mounted || remote.asked.is_some());
        for remote in self.remote.values_mut() {
            remote.silent = remote.silent.saturating_add(1);
        }
        let mut open: Vec<u64> = questions.iter().map(|(ticket, _)| *ticket).collect();
        if !open.is_empty() {
            self.lane.send(questions);
        }
        open.reverse();
        let mut until = Instant::now() + self.patience;
        while let Some(&ticket) = open.last() {
            match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(done) => {
                    open.retain(|open| *open != done.ticket);
                    self.take_answer(done);
                }
                Err(_) => {
                    self.lane.abandon(ticket);
                    open.pop();
                }
            }
            if open.last() != Some(&ticket) {
                until = Instant::now() + self.patience;
            }
        }
    }

    fn take_answer(&mut self, done: Done<Question>) {
        if let Some(remote) = self.remote.get_mut(&done.job.path) {
            remote.asked = None;
            remote.silent = 0;
            remote.last = done.answer.ok().and_then(Result::ok);
        }
    }

    /// The figures of a mount; none is an error.
    fn figures(&self, mount: &Mount) -> Option<Figures> {
        let path = self.path(mount);
        if answers_from_memory(mount) {
            return (self.ask)(&path).ok();
        }
        let remote = self.remote.get(&path)?;
        remote.last.filter(|_| remote.silent <= STALE_PASSES)
    }
}

impl Collector for Filesystem {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn collect(&mut self, page: &mut PageWriter) -> Result<(), CollectError> {
        let mounts = self.mounts()?;
        let mut mounts: Vec<&Mount> = mounts.iter().collect();
        self.cap.cut(&mut mounts, page);
        self.ask_remote(mounts.iter().copied().filter(|mount| !answers_from_memory(mount)));
        let mounts: Vec<_> = mounts.into_iter().map(|mount| (self.figures(mount), mount)).collect();

        type Of = fn(&Mount, &Option<Figures>) -> Option<f64>;
        let families: [(&str, &str, Of); 7] = [
            ("size_bytes", "Filesystem size in bytes.", |_, figures| Some(figures.as_ref()?.size)),
            ("free_bytes", "Filesystem free space in bytes.", |_, figures| Some(figures.as_ref()?.free)),
            ("avail_bytes", "Filesystem space available to non-root users in bytes.", |_, figures| {
                Some(figures.as_ref()?.avail)
            }),
            ("files", "Filesystem total file nodes.", |_, figures| Some(figures.as_ref()?.files)),
            ("files_free", "Filesystem total free file nodes.", |_, figures| {
                Some(figures.as_ref()?.files_free)
            }),
            ("readonly", "Filesystem read-only status.", |mount, figures| {
                figures.map(|_| f64::from(u8::from(mount.read_only)))
            }),
            (
                "device_error",
                "Whether an error occurred while getting statistics for the given device.",
                |_, figures| Some(f64::from(u8::from(figures.is_none()))),
            ),
        ];
        for (suffix, help, of) in families {
            let name = format!("node_filesystem_{suffix}");
            let mut family = page.family(&name, Kind::Gauge, help);
            for (figures, mount) in &mounts {
                if let Some(value) = of(mount, figures) {
                    let labels = [
                        ("device", &*mount.device),
                        ("mountpoint", &mount.point),
                        ("fstype", &mount.fs_type),
                    ];
                    family.sample(&labels, value);
                }
            }
        }
        Ok(())
    }
}

fn answers_from_memory(mount: &Mount) -> bool {
    IN_MEMORY.contains(&mount.fs_type.as_str())
}

fn statvfs(path: &Path) -> io::Result<Figures> {
    let stat = rustix::fs::statvfs(path)?;
    // f_bsize and not f_frsize, as node_exporter: they are the same on every local file system.
    #[allow(clippy::cast_precision_loss)]
    let bytes = |blocks: u64| blocks as f64 * stat.f_bsize as f64;
    #[allow(clippy::cast_precision_loss)]
    Ok(Figures {
        size: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        avail: bytes(stat.f_bavail),
        files: stat.f_files as f64,
        files_free: stat.f_ffree as f64,
    })
}

/// A line of `/proc/mounts`: device, mount point, type, options. The point as seen from `rootfs`.
fn parse_mount(line: &[u8], rootfs: &Path) -> Option<Mount> {
    let mut words = words(line);
    let device = label(words.next()?).into_owned();
    let point = unescape(words.next()?);
    let fs_type = label(words.next()?).into_owned();
    let read_only = words.next()?.split(|&byte| byte == b',').any(|option| option == b"ro");
    let rootfs = rootfs.to_string_lossy();
    let point = match point.strip_prefix(rootfs.trim_end_matches('/')) {
        Some("") => "/",
        Some(rest) if rest.starts_with('/') => rest,
        _ => &point,
    };
    Some(Mount { device, point: point.to_owned(), fs_type, read_only })
}

/// Blank and tab stand as `\040` and `\011` (fstab(5)). Newline and backslash are left escaped, as node_exporter
/// leaves them.
fn unescape(word: &[u8]) -> String {
    label(word).replace("\\040", " ").replace("\\011", "\t")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;

    fn with_mounts(mounts: &str, patience: Duration, ask: Ask) -> (tempfile::TempDir, Filesystem) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("1")).unwrap();
        std::fs::write(folder.path().join("1/mounts"), mounts).unwrap();
        let paths = Paths { procfs: folder.path().into(), ..Paths::default() };
        let filesystem = Filesystem::asking(&paths, &Filters::default(), patience, ask);
        (folder, filesystem)
    }

    fn lines_of(filesystem: &mut Filesystem, family: &str) -> Vec<String> {
        let mut page = PageWriter::new();
        filesystem.collect(&mut page).unwrap();
        let text = String::from_utf8(page.into_bytes()).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(&format!("node_filesystem_{family}{{")));
        lines
            .map(|line| line.split_once("mountpoint=\"").unwrap().1.replace("\",fstype=\"nfs\"}", ""))
            .collect()
    }

    /// Answers at once, but for `/hung`, which says that it was asked and then waits.
    fn hung() -> (Ask, Receiver<()>, Sender<()>) {
        let (tell, asked) = channel();
        let (open, gate) = channel();
        let gate = Mutex::new(gate);
        let ask = move |path: &Path| {
            if path == Path::new("/hung") {
                tell.send(()).expect("the test listens");
                gate.lock().unwrap().recv().expect("the test opens the gate");
            }
            Ok(Figures { size: 1.0, ..Figures::default() })
        };
        (Arc::new(ask), asked, open)
    }

    #[test]
    fn a_hung_mount_has_an_error_and_one_thread_until_it_answers_and_the_others_go_on() {
        let (ask, asked, open) = hung();
        // Without patience even healthy mounts may come late, but they come in one of the next passes.
        let (_folder, mut filesystem) =
            with_mounts("s:/ /hung nfs rw 0 0\ns:/ /ok nfs rw 0 0\n", Duration::ZERO, ask);
        assert_eq!(lines_of(&mut filesystem, "device_error")[0], "/hung 1");
        asked.recv().unwrap();
        filesystem.lane.abandon(1);
        while lines_of(&mut filesystem, "device_error") != ["/hung 1", "/ok 0"] {
            std::thread::yield_now();
        }
        for _ in 0..10 {
            assert_eq!(lines_of(&mut filesystem, "device_error")[0], "/hung 1");
        }
        assert!(asked.try_recv().is_err(), "it was asked again while it hangs");
        for _ in 0..10_000 {
            open.send(()).unwrap(); // more than it can be asked until its answer is seen
        }
        while lines_of(&mut filesystem, "device_error") != ["/hung 0", "/ok 0"] {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_last_answer_of_a_silent_mount_stands_for_two_passes() {
        let ask: Ask = Arc::new(|_| Ok(Figures::default()));
        let (_folder, mut filesystem) = with_mounts("s:/ /far nfs ro 0 0\n", Duration::from_secs(3600), ask);
        assert_eq!(lines_of(&mut filesystem, "readonly"), ["/far 1"]);
        filesystem.remote.get_mut(Path::new("/far")).unwrap().asked = Some(99);
        let errors: Vec<_> = (0..4).map(|_| lines_of(&mut filesystem, "device_error").remove(0)).collect();
        assert_eq!(errors, ["/far 0", "/far 0", "/far 1", "/far 1"]);
    }

    #[test]
    fn a_mount_that_errs_has_only_the_error_and_one_that_stands_twice_stands_once() {
        let ask: Ask = Arc::new(|_| Err(io::Error::other("stale handle")));
        let mounts = "s:/ /x nfs rw 0 0\ns:/ /x nfs rw 0 0\n";
        let (_folder, mut filesystem) = with_mounts(mounts, Duration::from_secs(3600), ask);
        assert_eq!(lines_of(&mut filesystem, "device_error"), ["/x 1"]);
        assert!(lines_of(&mut filesystem, "readonly").is_empty());
    }

    #[test]
    fn mounts_are_seen_from_the_root_and_blanks_in_names_are_unescaped() {
        let point = |line: &str, root: &str| parse_mount(line.as_bytes(), Path::new(root)).unwrap().point;
        assert_eq!(point("/dev/a /host/mnt/a\\040b ext4 rw 0 0", "/host"), "/mnt/a b");
        assert_eq!(point("/dev/a /host ext4 rw 0 0", "/host"), "/");
        assert_eq!(point("/dev/a /hostess ext4 rw 0 0", "/host"), "/hostess");
        assert_eq!(point("/dev/a / ext4 rw 0 0", "/host"), "/");
        assert_eq!(point("/dev/a /srv ext4 rw 0 0", "/"), "/srv");
        assert!(parse_mount(b"x /y ext4 defaults,ro 0 0", Path::new("/")).unwrap().read_only);
        assert!(!parse_mount(b"x /y ext4 rw,errors=ro 0 0", Path::new("/")).unwrap().read_only);
    }

    proptest! {
        #[test]
        fn any_line_is_a_mount_or_none(line: Vec<u8>) {
            let _ = parse_mount(&line, Path::new("/host"));
        }
    }
}
