//! The audit log: who changed what, from where, and what came of it.
//!
//! A line of JSON for every request that changes the server or its alerts, and for every attempt that was not let in, until an
//! address has made too many of them:
//!
//! ```json
//! {"at":"2026-11-21T14:00:00.000Z","who":"token ops","from":"192.0.2.7:50000","method":"DELETE","path":"/api/v1/admin/clients/1f",
//!  "status":200,"result":"success","request_id":"5d1c-7","detail":{"kicked":1}}
//! ```
//!
//! It goes to the log of the program, and to `--web.audit-file` if that is set, which is made readable by its owner only. Neither a token nor
//! the query of an address is ever in it. The line is written before the request is answered. A disk that fails or hangs
//! stops nothing: what could not be written is counted, and the log has it still. The file is opened for each line, so that
//! it can be moved away at any time; when it is larger than [`MOST_BYTES`] it is moved to `FILE.1` itself.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::log::timestamp;
use crate::registry::{Counter, Family, RegisterError, Registry};

/// Size of the file at which it is moved away; with the one before it is twice as much at most.
const MOST_BYTES: u64 = 64 << 20;

/// Lines that may wait for the disk.
const WAITING: usize = 16;

/// How long a request waits for its line.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest path and detail, in bytes.
const LONGEST: usize = 1024;

crate::label_set! {
    /// `logged` without a file, `written` to it, `failed`, or `dropped` since the disk hangs.
    struct Outcome { outcome: &'static str }
}

/// What was done. An extension of an answer: the audit log tells it.
#[derive(Clone, Debug)]
pub(super) struct Detail(pub(super) Value);

/// A request as the audit log tells it.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) at_ms: i64,
    pub(super) who: String,
    pub(super) from: Option<SocketAddr>,
    pub(super) method: &'a str,
    /// Without its query.
    pub(super) path: &'a str,
    pub(super) status: u16,
    /// Why it was refused, or the message of an error; none if all is well.
    pub(super) refused: Option<&'a str>,
    pub(super) request_id: &'a str,
    pub(super) detail: Value,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Audit {
    file: Option<Arc<Mutex<PathBuf>>>,
    places: Arc<Semaphore>,
    records: Family<Outcome, Counter>,
}

impl Audit {
    /// To the log, and to a file if there is one.
    pub(super) fn new(file: Option<&Path>, registry: &Registry) -> Result<Self, RegisterError> {
        Ok(Audit {
            file: file.map(|path| Arc::new(Mutex::new(path.to_owned()))),
            places: Arc::new(Semaphore::new(WAITING)),
            records: registry.family(
                (
                    "gaugecast_audit_records",
                    "Records of the audit log, by outcome: logged (there is no file), written, failed or dropped (the disk \
                     hangs).",
                ),
                (),
            )?,
        })
    }

    /// Keeps a record.
    pub(super) async fn record(&self, record: Record<'_>) {
        let Record { at_ms, who, from, method, path, status, refused, request_id, detail } = record;
        let from = from.map(|from| from.to_string());
        let result = if status < 400 { "success" } else { "refused" };
        let (path, detail) =
            (shortened(path), if detail.to_string().len() > LONGEST { json!("too long") } else { detail });
        let shown = if detail.is_null() { String::new() } else { detail.to_string() };
        tracing::info!(
            target: "gaugecast::audit",
            who, from, method, path, status, result, reason = refused, request_id, detail = shown, "audit"
        );
        let Some(file) = &self.file else { return self.count("logged") };
        let mut told = json!({
            "at": timestamp(at_ms), "who": who, "from": from, "method": method, "path": path, "status": status, "result": result,
            "request_id": request_id,
        });
        if let Some(reason) = refused {
            told["reason"] = json!(shortened(reason));
        }
        if !detail.is_null() {
            told["detail"] = detail;
        }
        let line = format!("{told}\n");
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return self.count("dropped") };
        let (file, records) = (Arc::clone(file), self.records.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _place = place;
            // One line after the other, whatever a writer before has left.
            let path = file.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = match append(&path, &line) {
                Ok(()) => "written",
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "the audit file cannot be written");
                    "failed"
                }
            };
            records.get(&Outcome { outcome }).inc();
        });
        // It goes on if this does not wait.
        let _ = timeout(PATIENCE, work).await;
    }

    fn count(&self, outcome: &'static str) {
        self.records.get(&Outcome { outcome }).inc();
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let mut options = File::options();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // To open a pipe would block until somebody reads it, and hold up the end of the process.
    #[cfg(unix)]
    if fs::metadata(path).is_ok_and(|found| std::os::unix::fs::FileTypeExt::is_fifo(&found.file_type())) {
        return Err(io::Error::other("it is a pipe"));
    }
    let mut file = options.open(path)?;
    if file.metadata()?.len() >= MOST_BYTES {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        fs::rename(path, before)?;
        file = options.open(path)?;
    }
    file.write_all(line.as_bytes())
}

fn shortened(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(path: &str) -> Record<'_> {
        Record {
            at_ms: 0,
            who: "token ops".into(),
            from: Some(([192, 0, 2, 7], 50).into()),
            method: "POST",
            path,
            status: 200,
            refused: None,
            request_id: "r-1",
            detail: json!({ "count": 2 }),
        }
    }

    #[tokio::test]
    async fn f118_a_record_is_a_line_that_says_who_what_from_where_and_with_what_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let audit = Audit::new(Some(&path), &Registry::new()).unwrap();
        audit.record(record("/a\nb")).await;
        audit
            .record(Record {
                status: 401,
                refused: Some("invalid_token"),
                detail: Value::Null,
                ..record("/c")
            })
            .await;
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            lines[0],
            json!({
                "at": "1970-01-01T00:00:00.000Z", "who": "token ops", "from": "192.0.2.7:50", "method": "POST", "path": "/a\nb",
                "status": 200, "result": "success", "request_id": "r-1", "detail": { "count": 2 },
            })
        );
        assert_eq!((&lines[1]["result"], &lines[1]["reason"]), (&json!("refused"), &json!("invalid_token")));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_counted_and_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let audit = Audit::new(Some(&folder.path().join("none/audit")), &Registry::new()).unwrap();
        audit.record(record("/")).await;
        assert_eq!(audit.records.get(&Outcome { outcome: "failed" }).get(), 1);
        let audit = Audit::new(None, &Registry::new()).unwrap();
        audit.record(record("/")).await;
        assert_eq!(audit.records.get(&Outcome { outcome: "logged" }).get(), 1);
    }

    #[test]
    fn a_file_that_is_large_is_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        File::create(&path).unwrap().set_len(MOST_BYTES).unwrap();
        append(&path, "line\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "line\n");
        assert_eq!(fs::metadata(folder.path().join("audit.1")).unwrap().len(), MOST_BYTES);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_pipe_that_nobody_reads_holds_up_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let audit = Audit::new(Some(&path), &Registry::new()).unwrap();
        audit.record(record("/")).await;
        assert_eq!(audit.records.get(&Outcome { outcome: "failed" }).get(), 1);
    }

    #[test]
    fn what_a_client_sent_is_cut_at_a_character() {
        assert_eq!(shortened(&"é".repeat(1000)).len(), LONGEST);
    }
}
