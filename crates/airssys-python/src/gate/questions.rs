//! Questions of gates to people: on their way to Python, and the answers back.
//!
//! A gate asks on whatever thread its guest runs, which must never attach to the interpreter there. A thread of its
//! own carries questions over; it starts with the first one and ends with the last gate that could ask.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use airssys_host::gate::authority::access_name;
use airssys_host::gate::kind::{AccessBits, Kind};
use airssys_host::gate::rule_gate::{Answered, Approver};
use airssys_host::gate::subject::Subject;
use pyo3::prelude::*;
use tokio::sync::oneshot;

use super::convert::fs_text;

const UNAVAILABLE: &str = "approval-unavailable";
const TIMEOUT: &str = "approval-timeout";
/// Python keeps the time; this is for when its event loop does not run.
const GRACE: Duration = Duration::from_secs(1);

/// What is asked, owned: it leaves the thread of the guest.
struct Asked {
    number: u64,
    principal: String,
    roles: Vec<String>,
    /// The original caller first.
    callers: Vec<String>,
    session: Option<String>,
    trace: Option<String>,
    kind: &'static str,
    access: &'static str,
    target: Vec<u8>,
    rule: String,
    /// Why the component asks for the right itself; `None` where an access asks.
    reason: Option<String>,
}

enum Message {
    Asked(Box<Asked>),
    Withdrawn(u64),
}

struct Open {
    until: Instant,
    answer: oneshot::Sender<Result<String, String>>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    open: HashMap<u64, Open>,
    /// To the thread that carries them over, once there was a question.
    carrier: Option<Sender<Message>>,
    closed: bool,
}

struct Desk {
    waiting: Mutex<Waiting>,
    /// A weak reference to the object with `put` and `withdraw`.
    people: Arc<Py<PyAny>>,
    timeout: Duration,
}

impl Desk {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no code under this lock panics")
    }

    fn answer(&self, number: u64, answer: Result<String, String>) {
        let open = self.waiting().open.remove(&number);
        if let Some(open) = open {
            // Nobody listens: the guest is gone.
            let _ = open.answer.send(answer);
        }
    }

    /// Refuse what waited too long; the next moment to look again.
    fn expire(&self) -> (Vec<u64>, Option<Instant>) {
        let now = Instant::now();
        let mut waiting = self.waiting();
        let due = waiting.open.iter().filter(|(_, open)| open.until <= now);
        let due: Vec<u64> = due.map(|(number, _)| *number).collect();
        let next = waiting.open.values().map(|open| open.until);
        let next = next.filter(|until| *until > now).min();
        let ended: Vec<Open> = due
            .iter()
            .filter_map(|number| waiting.open.remove(number))
            .collect();
        drop(waiting);
        for open in ended {
            let _ = open.answer.send(Err(TIMEOUT.to_owned()));
        }
        (due, next)
    }
}

/// Where gates put questions, and whoever asks people answers them.
#[pyclass(frozen, module = "airssys._core")]
pub struct Questions {
    desk: Arc<Desk>,
}

#[pymethods]
impl Questions {
    #[new]
    fn new(people: Py<PyAny>, timeout: f64) -> PyResult<Self> {
        let timeout = Duration::try_from_secs_f64(timeout).map_err(|_| {
            pyo3::exceptions::PyValueError::new_err("timeout is a number of seconds, not negative")
        })?;
        Ok(Self {
            desk: Arc::new(Desk {
                waiting: Mutex::default(),
                people: Arc::new(people),
                timeout,
            }),
        })
    }

    #[pyo3(signature = (number, approved_by, reason=""))]
    fn answer(&self, number: u64, approved_by: Option<String>, reason: &str) {
        let answer = approved_by.ok_or_else(|| reason.to_owned());
        self.desk.answer(number, answer);
    }

    /// Refuse what waits, and all that is asked from now on.
    fn close(&self) {
        let mut waiting = self.desk.waiting();
        waiting.closed = true;
        waiting.carrier = None;
        let open = std::mem::take(&mut waiting.open);
        drop(waiting);
        for open in open.into_values() {
            let _ = open.answer.send(Err(UNAVAILABLE.to_owned()));
        }
    }
}

impl Questions {
    pub fn approver(&self) -> Arc<dyn Approver> {
        Arc::new(People(Arc::clone(&self.desk)))
    }
}

/// The approver of gates: people, through Python.
struct People(Arc<Desk>);

impl Approver for People {
    fn ask(
        &self,
        subject: &Subject,
        kind: Kind,
        access: AccessBits,
        target: &[u8],
        rule: &str,
        reason: Option<&str>,
    ) -> Answered {
        let (answer, answered) = oneshot::channel();
        let mut waiting = self.0.waiting();
        let number = waiting.next;
        waiting.next += 1;
        let asked = Asked {
            number,
            principal: subject.name.clone(),
            roles: subject.roles.clone(),
            callers: callers_of(subject),
            session: subject.session.clone(),
            trace: subject.trace.clone(),
            kind: kind.name(),
            access: access_name(kind, access),
            target: target.to_vec(),
            rule: rule.to_owned(),
            reason: reason.map(str::to_owned),
        };
        let until = Instant::now() + self.0.timeout + GRACE;
        if !waiting.closed {
            waiting.open.insert(number, Open { until, answer });
            let message = Message::Asked(Box::new(asked));
            let message = match &waiting.carrier {
                Some(carrier) => carrier.send(message).err().map(|unsent| unsent.0),
                None => Some(message),
            };
            if let Some(message) = message {
                waiting.carrier = carrier(&self.0, message);
                if waiting.carrier.is_none() {
                    waiting.open.remove(&number);
                }
            }
        }
        drop(waiting);
        let withdrawal = Withdrawal {
            desk: Arc::clone(&self.0),
            number,
        };
        Box::pin(async move {
            let answer = answered.await;
            drop(withdrawal);
            answer.unwrap_or_else(|_| Err(UNAVAILABLE.to_owned()))
        })
    }
}

fn callers_of(subject: &Subject) -> Vec<String> {
    let chain = subject.callers.iter().flat_map(|callers| callers.names());
    chain.map(str::to_owned).collect()
}

/// Tells that nobody waits for an answer any more.
struct Withdrawal {
    desk: Arc<Desk>,
    number: u64,
}

impl Drop for Withdrawal {
    fn drop(&mut self) {
        let mut waiting = self.desk.waiting();
        if waiting.open.remove(&self.number).is_some()
            && let Some(carrier) = &waiting.carrier
        {
            // Without a thread there is nobody to tell.
            let _ = carrier.send(Message::Withdrawn(self.number));
        }
    }
}

/// A thread that carries `first` and what follows to Python; nothing where there can be none.
fn carrier(desk: &Arc<Desk>, first: Message) -> Option<Sender<Message>> {
    let (sender, receiver) = channel();
    let (people, desk) = (Arc::clone(&desk.people), Arc::downgrade(desk));
    let spawned = std::thread::Builder::new()
        .name("airssys-approvals".to_owned())
        .spawn(move || carry(&people, &desk, &receiver));
    // Without a thread nobody can be asked, and the record says so.
    spawned.ok()?;
    sender.send(first).ok()?;
    Some(sender)
}

fn carry(people: &Py<PyAny>, desk: &Weak<Desk>, messages: &Receiver<Message>) {
    let mut until: Option<Instant> = None;
    loop {
        let message = match until {
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => messages.recv_timeout(until.saturating_duration_since(Instant::now())),
        };
        match message {
            Ok(message) => deliver(people, desk, message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(desk) = desk.upgrade() else { return };
        let (due, next) = desk.expire();
        until = next;
        let desk = Arc::downgrade(&desk);
        for number in due {
            deliver(people, &desk, Message::Withdrawn(number));
        }
    }
}

fn deliver(people: &Py<PyAny>, desk: &Weak<Desk>, message: Message) {
    let number = match &message {
        Message::Asked(asked) => asked.number,
        Message::Withdrawn(number) => *number,
    };
    let delivered = Python::try_attach(|py| {
        let told = tell(py, people, message);
        if let Err(error) = &told {
            error.clone_ref(py).write_unraisable(py, None);
        }
        told.is_ok_and(|told| told)
    });
    // Where Python cannot run any more, nobody can be asked.
    if delivered != Some(true)
        && let Some(desk) = desk.upgrade()
    {
        desk.answer(number, Err(UNAVAILABLE.to_owned()));
    }
}

/// Hand a message to Python; whether there is still somebody.
fn tell(py: Python<'_>, people: &Py<PyAny>, message: Message) -> PyResult<bool> {
    let people = people.bind(py).call0()?;
    if people.is_none() {
        return Ok(false);
    }
    match message {
        Message::Asked(asked) => {
            let target = fs_text(py, &asked.target)?;
            people.call_method1(
                "put",
                (
                    asked.number,
                    asked.principal,
                    asked.roles,
                    asked.callers,
                    asked.session,
                    asked.trace,
                    asked.kind,
                    asked.access,
                    target,
                    asked.rule,
                    asked.reason,
                ),
            )?;
        }
        Message::Withdrawn(number) => {
            people.call_method1("withdraw", (number,))?;
        }
    }
    Ok(true)
}
