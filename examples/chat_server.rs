//! A chat server over TCP that tells how it does, with gaugecast inside: open the page that it names.
//!
//!     cargo run --example chat_server --features allocator -- --listen 127.0.0.1:7000
//!     printf 'REGISTER ann secret\nLOGIN ann secret\nCREATE tea\nSEND tea hello\n' | nc 127.0.0.1 7000
//!
//! One command a line, one answer a line: `OK …` or `ERR kind`. Each command is an operation of the monitor, and so is each
//! access to the "database" below it (`db_…`). What it holds is bounded: the oldest message of a room goes first, what else
//! is full refuses.
//!
//!     --listen ADDR    where it chats, 127.0.0.1:0 if nothing is said
//!     --faults         takes the command FAULT, by which a test makes it ill
//!     --FLAG=VALUE     any flag of gaugecast: --web.listen-address=127.0.0.1:7171
//!
//! `FAULT NAME AMOUNT` (0 ends it): `slow` milliseconds for each SEND, `errors` fails so many of 100 SENDs, `memory` holds MiB,
//! `cpu` burns so many threads, `database` fails so many of 100 accesses, `allocations` makes so many a second. Many
//! connections and failed logins need no help.
#![allow(clippy::print_stdout)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gaugecast::config::{self, Sources};
use gaugecast::monitor::{Connection, Monitor, Operation, Outcome, SecurityKind};
use gaugecast::registry::Registry;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: gaugecast::monitor::Counting = gaugecast::monitor::Counting::system();

/// Bounds of what it holds.
const USERS: usize = 10_000;
const ROOMS: usize = 1_000;
const MESSAGES: usize = 500;
const REPLIES: usize = 100;
const REACTIONS: usize = 32;
const INVITATIONS: usize = 1_000;
const PEERS: usize = 10_000;
const CONNECTIONS: usize = 20_000;
const LINE: u64 = 4096;

/// Wrong passwords of one user after which the user is blocked, and for how long.
const ATTEMPTS: u32 = 5;
const BLOCKED: Duration = Duration::from_secs(10);
/// Commands a second of one connection.
const RATE: f64 = 2_000.0;

/// All commands, which are the operations; `FAULT` and `QUIT` are none.
const COMMANDS: [(&str, &str); 22] = [
    ("REGISTER", "register"),
    ("LOGIN", "login"),
    ("LOGOUT", "logout"),
    ("STATUS", "set_status"),
    ("USERS", "list_users"),
    ("CREATE", "create_room"),
    ("JOIN", "join_room"),
    ("LEAVE", "leave_room"),
    ("ROOMS", "list_rooms"),
    ("TOPIC", "set_topic"),
    ("INVITE", "invite"),
    ("ACCEPT", "accept_invitation"),
    ("SEND", "send_message"),
    ("EDIT", "edit_message"),
    ("DELETE", "delete_message"),
    ("REACT", "react"),
    ("UNREACT", "remove_reaction"),
    ("SEARCH", "search"),
    ("HISTORY", "history"),
    ("REPLY", "reply_in_thread"),
    ("THREAD", "read_thread"),
    ("WHOIS", "whois"),
];

/// Why a command fails: the kind of the error, and what follows `ERR`.
type Answer = Result<String, &'static str>;

struct User {
    password: String,
    status: String,
    wrong: u32,
    blocked_until: Option<Instant>,
}

struct Message {
    id: u64,
    author: String,
    text: String,
    reactions: HashMap<String, HashSet<String>>,
    thread: Vec<(String, String)>,
}

#[derive(Default)]
struct Room {
    topic: String,
    members: HashSet<String>,
    messages: VecDeque<Message>,
}

/// What is stored. A real server would have a database here.
#[derive(Default)]
struct Store {
    users: HashMap<String, User>,
    rooms: HashMap<String, Room>,
    invitations: HashSet<(String, String)>,
    next: u64,
}

/// The faults that are on.
#[derive(Default)]
struct Faults {
    slow_ms: AtomicU64,
    errors_percent: AtomicU64,
    database_percent: AtomicU64,
    sends: AtomicU64,
    accesses: AtomicU64,
    memory: Mutex<Vec<u8>>,
    /// Ends the threads that burn.
    burning: Mutex<Arc<AtomicBool>>,
    allocating: Mutex<Arc<AtomicBool>>,
}

/// The accesses to the store, each an operation of its own.
struct Database {
    store: Mutex<Store>,
    select: Operation,
    insert: Operation,
    update: Operation,
    delete: Operation,
}

struct Chat {
    monitor: Monitor,
    operations: HashMap<&'static str, Operation>,
    database: Database,
    faults: Option<Faults>,
    /// Failed logins by address.
    peers: Mutex<HashMap<IpAddr, u32>>,
}

/// A lock that a panic has not spoiled: each change is whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is this one of so many percent? Evenly, not by chance, so that a test can count on it.
fn hits(counter: &AtomicU64, percent: &AtomicU64) -> bool {
    let percent = percent.load(Ordering::Relaxed);
    percent > 0 && counter.fetch_add(1, Ordering::Relaxed) * percent % 100 < percent
}

impl Database {
    /// An access to the store: `run` is timed, and fails where the database is ill.
    fn access<T>(
        &self,
        kind: &Operation,
        faults: Option<&Faults>,
        run: impl FnOnce(&mut Store) -> T,
    ) -> Result<T, &'static str> {
        let access = kind.start();
        if faults.is_some_and(|faults| hits(&faults.accesses, &faults.database_percent)) {
            access.fail("connection_lost");
            return Err("database");
        }
        Ok(run(&mut lock(&self.store)))
    }
}

impl Chat {
    fn new(monitor: Monitor, faults: bool) -> Self {
        let operations =
            COMMANDS.into_iter().map(|(command, name)| (command, monitor.operation(name))).collect();
        let database = Database {
            store: Mutex::default(),
            select: monitor.operation("db_select"),
            insert: monitor.operation("db_insert"),
            update: monitor.operation("db_update"),
            delete: monitor.operation("db_delete"),
        };
        Chat { monitor, operations, database, faults: faults.then(Faults::default), peers: Mutex::default() }
    }

    fn select<T>(&self, run: impl FnOnce(&mut Store) -> T) -> Result<T, &'static str> {
        self.database.access(&self.database.select, self.faults.as_ref(), run)
    }

    fn insert<T>(&self, run: impl FnOnce(&mut Store) -> T) -> Result<T, &'static str> {
        self.database.access(&self.database.insert, self.faults.as_ref(), run)
    }

    fn update<T>(&self, run: impl FnOnce(&mut Store) -> T) -> Result<T, &'static str> {
        self.database.access(&self.database.update, self.faults.as_ref(), run)
    }

    fn delete<T>(&self, run: impl FnOnce(&mut Store) -> T) -> Result<T, &'static str> {
        self.database.access(&self.database.delete, self.faults.as_ref(), run)
    }

    /// Runs a command of a user who is logged in, or not yet.
    async fn run(&self, session: &mut Session, line: &str) -> Answer {
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        if command == "FAULT" {
            return self.fault(rest);
        }
        let operation = self.operations.get(command).ok_or("unknown_command")?;
        let mut run = operation.start();
        if suspicious(rest) {
            self.monitor.security().report(SecurityKind::SuspiciousPattern, &session.from(), command);
        }
        let answer = self.execute(session, command, rest).await;
        // Whoever is turned away at the door is an event of security, and no failure of ours.
        if !matches!(answer, Err("wrong_password" | "blocked")) {
            run.mark(Outcome::of(&answer, |kind| kind));
        }
        answer
    }

    async fn execute(&self, session: &mut Session, command: &str, rest: &str) -> Answer {
        let mut words = rest.splitn(3, ' ');
        let (first, second, third) =
            (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match command {
            "REGISTER" => return self.register(first, second),
            "LOGIN" => return self.login(session, first, second),
            _ => {}
        }
        let user = session.user.clone().ok_or("not_logged_in")?;
        let text = rest.split_once(' ').map_or("", |(_, text)| text);
        let id = second.parse().unwrap_or(0);
        match command {
            "LOGOUT" => {
                session.user = None;
                Ok(String::new())
            }
            "STATUS" => self.update(|store| {
                let own = store.users.get_mut(&user).ok_or("no_such_user")?;
                rest.clone_into(&mut own.status);
                Ok(String::new())
            })?,
            "USERS" => self.select(|store| Ok(store.users.len().to_string()))?,
            "WHOIS" => self.select(|store| {
                store.users.get(first).map(|user| user.status.clone()).ok_or("no_such_user")
            })?,
            "CREATE" => self.insert(|store| {
                if store.rooms.len() >= ROOMS || !is_name(first) {
                    return Err("refused");
                }
                if store.rooms.contains_key(first) {
                    return Err("room_exists");
                }
                let members = HashSet::from([user]);
                store.rooms.insert(first.to_owned(), Room { members, ..Room::default() });
                Ok(String::new())
            })?,
            "JOIN" => self.update(|store| {
                store.rooms.get_mut(first).ok_or("no_such_room")?.members.insert(user);
                Ok(String::new())
            })?,
            "LEAVE" => self.update(|store| {
                let left = store.rooms.get_mut(first).ok_or("no_such_room")?.members.remove(&user);
                left.then(String::new).ok_or("not_a_member")
            })?,
            "ROOMS" => self.select(|store| Ok(store.rooms.len().to_string()))?,
            "TOPIC" => self.update(|store| {
                text.clone_into(&mut store.room(first, &user)?.topic);
                Ok(String::new())
            })?,
            "INVITE" => self.insert(|store| {
                store.room(first, &user)?;
                if !store.users.contains_key(second) {
                    return Err("no_such_user");
                }
                if store.invitations.len() >= INVITATIONS {
                    return Err("full");
                }
                store.invitations.insert((first.to_owned(), second.to_owned()));
                Ok(String::new())
            })?,
            "ACCEPT" => self.update(|store| {
                if !store.invitations.remove(&(first.to_owned(), user.clone())) {
                    return Err("not_invited");
                }
                store.rooms.get_mut(first).ok_or("no_such_room")?.members.insert(user);
                Ok(String::new())
            })?,
            "SEND" => {
                self.fall_ill().await?;
                self.insert(|store| store.send(first, user, text))?
            }
            "EDIT" => self.update(|store| {
                let message = store.message(first, id, &user)?;
                if message.author != user {
                    return Err("not_the_author");
                }
                third.clone_into(&mut message.text);
                Ok(String::new())
            })?,
            "DELETE" => self.delete(|store| {
                if store.message(first, id, &user)?.author != user {
                    return Err("not_the_author");
                }
                store.room(first, &user)?.messages.retain(|message| message.id != id);
                Ok(String::new())
            })?,
            "REACT" => self.update(|store| {
                let reactions = &mut store.message(first, id, &user)?.reactions;
                if reactions.len() >= REACTIONS && !reactions.contains_key(third) {
                    return Err("full");
                }
                reactions.entry(third.to_owned()).or_default().insert(user);
                Ok(String::new())
            })?,
            "UNREACT" => self.update(|store| {
                let reactions = &mut store.message(first, id, &user)?.reactions;
                let gone = reactions.get_mut(third).is_some_and(|users| users.remove(&user));
                gone.then(String::new).ok_or("no_such_reaction")
            })?,
            "SEARCH" => self.select(|store| {
                let found = store.room(first, &user)?.messages.iter();
                Ok(found.filter(|message| message.text.contains(text)).count().to_string())
            })?,
            "HISTORY" => self.select(|store| {
                let messages = store.room(first, &user)?.messages.iter().rev().take(20);
                let lines =
                    messages.map(|message| format!("{} {}: {}", message.id, message.author, message.text));
                Ok(lines.collect::<Vec<_>>().join(" | "))
            })?,
            "REPLY" => self.insert(|store| {
                let thread = &mut store.message(first, id, &user)?.thread;
                if thread.len() >= REPLIES {
                    return Err("full");
                }
                thread.push((user, third.to_owned()));
                Ok(thread.len().to_string())
            })?,
            "THREAD" => self.select(|store| {
                let thread = &store.message(first, id, &user)?.thread;
                let lines = thread.iter().map(|(author, text)| format!("{author}: {text}"));
                Ok(lines.collect::<Vec<_>>().join(" | "))
            })?,
            _ => Err("unknown_command"),
        }
    }

    fn register(&self, name: &str, password: &str) -> Answer {
        self.insert(|store| {
            if store.users.len() >= USERS || !is_name(name) || password.is_empty() {
                return Err("refused");
            }
            if store.users.contains_key(name) {
                return Err("name_taken");
            }
            // An example: a real server keeps a hash.
            let user =
                User { password: password.to_owned(), status: String::new(), wrong: 0, blocked_until: None };
            store.users.insert(name.to_owned(), user);
            Ok(String::new())
        })?
    }

    fn login(&self, session: &mut Session, name: &str, password: &str) -> Answer {
        let began = Instant::now();
        let answer = self.update(|store| {
            let Some(user) = store.users.get_mut(name) else { return Err("wrong_password") };
            if user.blocked_until.is_some_and(|until| until > began) {
                return Err("blocked");
            }
            if user.password == password {
                user.wrong = 0;
                return Ok(String::new());
            }
            user.wrong += 1;
            if user.wrong >= ATTEMPTS {
                (user.wrong, user.blocked_until) = (0, Some(began + BLOCKED));
            }
            Err("wrong_password")
        })?;
        let security = self.monitor.security();
        match answer {
            Ok(_) => session.user = Some(name.to_owned()),
            Err("blocked") => security.report(SecurityKind::Blocked, &session.from(), name),
            Err(_) => {
                security.report(SecurityKind::FailedLogin, &session.from(), name);
                let mut peers = lock(&self.peers);
                if peers.len() < PEERS || peers.contains_key(&session.peer.ip()) {
                    let failed = peers.entry(session.peer.ip()).or_default();
                    *failed += 1;
                    if *failed == 50 {
                        *failed = 0;
                        security.report(
                            SecurityKind::SuspiciousPattern,
                            &session.from(),
                            "guesses passwords",
                        );
                    }
                }
            }
        }
        if answer.is_err() {
            security.responded(began.elapsed());
        }
        answer
    }

    /// What `FAULT` has asked for of a SEND.
    async fn fall_ill(&self) -> Result<(), &'static str> {
        let Some(faults) = &self.faults else { return Ok(()) };
        let slow = faults.slow_ms.load(Ordering::Relaxed);
        if slow > 0 {
            tokio::time::sleep(Duration::from_millis(slow)).await;
        }
        if hits(&faults.sends, &faults.errors_percent) { Err("internal") } else { Ok(()) }
    }

    fn fault(&self, rest: &str) -> Answer {
        let faults = self.faults.as_ref().ok_or("unknown_command")?;
        let (name, amount) = rest.split_once(' ').ok_or("no_amount")?;
        let amount: u32 = amount.parse().map_err(|_| "no_amount")?;
        match name {
            "slow" => faults.slow_ms.store(amount.min(60_000).into(), Ordering::Relaxed),
            "errors" => faults.errors_percent.store(amount.min(100).into(), Ordering::Relaxed),
            "database" => faults.database_percent.store(amount.min(100).into(), Ordering::Relaxed),
            // Ones, since a page of zeros takes no memory.
            "memory" => *lock(&faults.memory) = vec![1; amount.min(4096) as usize * (1 << 20)],
            "cpu" => {
                let burn = || {
                    std::hint::black_box((0..10_000_u64).fold(0, u64::wrapping_add));
                };
                replace(&faults.burning, amount.min(64), burn);
            }
            "allocations" => {
                let (each, pause) = (amount / 100, Duration::from_millis(10));
                let allocate = move || {
                    (0..each).for_each(|_| drop(std::hint::black_box(Box::new(1_u64))));
                    std::thread::sleep(pause);
                };
                replace(&faults.allocating, u32::from(amount > 0), allocate);
            }
            _ => return Err("no_such_fault"),
        }
        Ok(String::new())
    }
}

/// Ends the threads that do this, and starts so many that do it again and again.
fn replace(ended: &Mutex<Arc<AtomicBool>>, threads: u32, work: impl Fn() + Clone + Send + 'static) {
    let mut ended = lock(ended);
    ended.store(true, Ordering::Relaxed);
    *ended = Arc::default();
    for _ in 0..threads {
        let (ended, work) = (Arc::clone(&ended), work.clone());
        std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                work();
            }
        });
    }
}

impl Store {
    /// A room of which the user is a member.
    fn room(&mut self, name: &str, user: &str) -> Result<&mut Room, &'static str> {
        let room = self.rooms.get_mut(name).ok_or("no_such_room")?;
        if room.members.contains(user) { Ok(room) } else { Err("not_a_member") }
    }

    fn message(&mut self, room: &str, id: u64, user: &str) -> Result<&mut Message, &'static str> {
        let messages = &mut self.room(room, user)?.messages;
        messages.iter_mut().find(|message| message.id == id).ok_or("no_such_message")
    }

    fn send(&mut self, room: &str, author: String, text: &str) -> Answer {
        let id = self.next + 1;
        let messages = &mut self.room(room, &author)?.messages;
        if messages.len() >= MESSAGES {
            messages.pop_front();
        }
        let (reactions, thread) = (HashMap::new(), Vec::new());
        messages.push_back(Message { id, author, text: text.to_owned(), reactions, thread });
        self.next = id;
        Ok(id.to_string())
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 32 && name.chars().all(char::is_alphanumeric)
}

/// What nobody types who wants to chat.
fn suspicious(text: &str) -> bool {
    ["<script", "' OR '1'='1", "../..", "\0"].iter().any(|pattern| text.contains(pattern))
}

/// One connection.
struct Session {
    peer: SocketAddr,
    user: Option<String>,
    /// Commands that it may still send now.
    allowance: f64,
    at: Instant,
}

impl Session {
    fn from(&self) -> String {
        self.peer.ip().to_string()
    }

    /// May it send one more command?
    fn allow(&mut self) -> bool {
        let now = Instant::now();
        self.allowance = (self.allowance + now.duration_since(self.at).as_secs_f64() * RATE).min(RATE);
        self.at = now;
        let allowed = self.allowance >= 1.0;
        if allowed {
            self.allowance -= 1.0;
        }
        allowed
    }
}

async fn talk(chat: Arc<Chat>, mut stream: TcpStream, peer: SocketAddr) {
    let connection = chat.monitor.connected();
    if let Err(error) = converse(&chat, &connection, &mut stream, peer).await {
        connection.failed();
        tracing::debug!(%error, %peer, "a connection failed");
    }
}

async fn converse(
    chat: &Chat,
    connection: &Connection,
    stream: &mut TcpStream,
    peer: SocketAddr,
) -> std::io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut reading = BufReader::with_capacity(1024, reading);
    let mut session = Session { peer, user: None, allowance: RATE, at: Instant::now() };
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reading).take(LINE).read_until(b'\n', &mut line).await?;
        if read == 0 {
            return Ok(());
        }
        connection.received(read as u64);
        let answer = match std::str::from_utf8(&line) {
            Ok("QUIT\n") => return Ok(()),
            _ if !line.ends_with(b"\n") => Err("line_too_long"),
            _ if !session.allow() => {
                chat.monitor.security().report(SecurityKind::RateLimited, &session.from(), "commands");
                Err("rate_limited")
            }
            Ok(text) => chat.run(&mut session, text.trim_end()).await,
            Err(_) => Err("not_utf8"),
        };
        let answer = match answer {
            Ok(text) => format!("OK {text}\n"),
            Err(kind) => format!("ERR {kind}\n"),
        };
        writing.write_all(answer.as_bytes()).await?;
        connection.sent(answer.len() as u64);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut listen, mut faults, mut flags) = ("127.0.0.1:0".to_owned(), false, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix("--").map(|flag| flag.split_once('=').ok_or(flag)) {
            Some(Err("listen")) => listen = arguments.next().ok_or("--listen needs an address")?,
            Some(Err("faults")) => faults = true,
            Some(Ok((flag, value))) => flags.push((flag.to_owned(), value.to_owned())),
            _ => return Err(format!("{argument}: --listen ADDR, --faults or --FLAG=VALUE").into()),
        }
    }
    let config =
        config::load(&Sources { flags, env: Vec::new() }).map_err(|errors| errors.to_string())?.config;

    // The application's part of it: a registry, its monitor, and the server over the same registry.
    let registry = Registry::new();
    let monitor = Monitor::new(&registry, config.monitor.clone())?;
    #[cfg(feature = "allocator")]
    monitor.watch_allocations(|| ALLOCATOR.stats().into());
    let running = gaugecast::serve::start(&config, registry, None).await?;

    let listener = TcpListener::bind(&listen).await?;
    println!("chat {}", listener.local_addr()?);
    println!("live http://{}/", running.addresses()[0]);
    let chat = Arc::new(Chat::new(monitor, faults));
    let room = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let permit = Arc::clone(&room).acquire_owned();
        let (permit, accepted) = tokio::select! {
            _ = &mut interrupted => break,
            next = async { (permit.await, listener.accept().await) } => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let chat = Arc::clone(&chat);
                tokio::spawn(async move {
                    talk(chat, stream, peer).await;
                    drop(permit);
                });
            }
            // Out of descriptors: without a pause this would spin.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
    running.stop().await;
    Ok(())
}
