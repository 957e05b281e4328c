//! Instances that are used by one call at a time, and the calls that wait for one.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::error::Error;

/// What a call gets when it is its turn.
#[derive(Debug)]
pub enum Turn<T> {
    /// An instance that an earlier call gave back.
    Use(T),
    /// The right to make one more.
    Make,
}

#[derive(Debug)]
struct Waiting<T> {
    turn: Option<Turn<T>>,
    waker: Option<Waker>,
}

type Place<T> = Arc<Mutex<Waiting<T>>>;

#[derive(Debug)]
struct State<T> {
    idle: Vec<T>,
    /// Instances there are, or may be made: idle ones, those in use, and rights to make one.
    held: usize,
    waiting: VecDeque<Place<T>>,
    retired: bool,
}

/// At most `most` instances. Generic, because it does not matter here what they are.
#[derive(Debug)]
pub struct Pool<T> {
    most: usize,
    most_waiting: usize,
    state: Mutex<State<T>>,
}

impl<T> Pool<T> {
    #[must_use]
    pub fn new(most: usize, most_waiting: usize) -> Arc<Self> {
        let state = State {
            idle: Vec::new(),
            held: 0,
            waiting: VecDeque::new(),
            retired: false,
        };
        Arc::new(Self {
            most,
            most_waiting,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().expect("no code under this lock panics")
    }

    /// Take a turn at once, if there is one.
    pub fn try_take(&self) -> Option<Turn<T>> {
        let mut state = self.state();
        if let Some(instance) = state.idle.pop() {
            return Some(Turn::Use(instance));
        }
        if state.held < self.most {
            state.held += 1;
            return Some(Turn::Make);
        }
        None
    }

    /// Wait for a turn, first come, first served.
    pub fn take(self: &Arc<Self>) -> Take<T> {
        Take {
            pool: self.clone(),
            place: None,
        }
    }

    /// End a turn: with the instance, or without it where it is lost or was never made.
    pub fn give_back(&self, instance: Option<T>) {
        let mut state = self.state();
        let turn = match instance {
            Some(instance) if !state.retired => Turn::Use(instance),
            lost => {
                // The drop of a store is not for the lock.
                let waits = !state.waiting.is_empty();
                if !waits {
                    state.held -= 1;
                    drop(state);
                    drop(lost);
                    return;
                }
                Turn::Make
            }
        };
        match (state.waiting.pop_front(), turn) {
            (Some(place), turn) => {
                let mut place = place.lock().expect("no code under this lock panics");
                place.turn = Some(turn);
                let waker = place.waker.take();
                drop(place);
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            (None, Turn::Use(instance)) => state.idle.push(instance),
            (None, Turn::Make) => state.held -= 1,
        }
    }

    /// Keep no idle instance from now on. Calls that wait still get their turn.
    pub fn retire(&self) {
        let idle = {
            let mut state = self.state();
            state.retired = true;
            state.held -= state.idle.len();
            std::mem::take(&mut state.idle)
        };
        drop(idle);
    }

    /// Instances held now, in use or idle.
    #[must_use]
    pub fn held(&self) -> usize {
        self.state().held
    }
}

/// Resolves to a turn.
#[derive(Debug)]
pub struct Take<T> {
    pool: Arc<Pool<T>>,
    place: Option<Place<T>>,
}

impl<T> Unpin for Take<T> {}

impl<T> Future for Take<T> {
    type Output = Result<Turn<T>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(place) = &self.place {
            let mut waiting = place.lock().expect("no code under this lock panics");
            return match waiting.turn.take() {
                Some(turn) => {
                    drop(waiting);
                    self.place = None;
                    Poll::Ready(Ok(turn))
                }
                None => {
                    waiting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        }
        if let Some(turn) = self.pool.try_take() {
            return Poll::Ready(Ok(turn));
        }
        let place = Arc::new(Mutex::new(Waiting {
            turn: None,
            waker: Some(context.waker().clone()),
        }));
        {
            let mut state = self.pool.state();
            // Between the try and the lock somebody may have given one back.
            if let Some(instance) = state.idle.pop() {
                return Poll::Ready(Ok(Turn::Use(instance)));
            }
            if state.held < self.pool.most {
                state.held += 1;
                return Poll::Ready(Ok(Turn::Make));
            }
            if state.waiting.len() >= self.pool.most_waiting {
                return Poll::Ready(Err(Error::Overloaded {
                    waiting: self.pool.most_waiting,
                }));
            }
            state.waiting.push_back(place.clone());
        }
        self.place = Some(place);
        Poll::Pending
    }
}

impl<T> Drop for Take<T> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let turn = {
            let mut state = self.pool.state();
            state.waiting.retain(|other| !Arc::ptr_eq(other, &place));
            place
                .lock()
                .expect("no code under this lock panics")
                .turn
                .take()
        };
        match turn {
            Some(Turn::Use(instance)) => self.pool.give_back(Some(instance)),
            Some(Turn::Make) => self.pool.give_back(None),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn poll<T>(take: &mut Take<T>, count: &Arc<Count>) -> Poll<Result<Turn<T>, Error>> {
        let waker = Waker::from(count.clone());
        Pin::new(take).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn makes_up_to_the_most_then_serves_in_order_of_arrival() {
        let pool = Pool::<u32>::new(2, 10);
        let count = Arc::<Count>::default();
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        assert!(pool.try_take().is_none());
        let (mut first, mut second) = (pool.take(), pool.take());
        assert!(poll(&mut first, &count).is_pending());
        assert!(poll(&mut second, &count).is_pending());
        pool.give_back(Some(7));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(poll(&mut second, &count).is_pending());
        assert!(matches!(
            poll(&mut first, &count),
            Poll::Ready(Ok(Turn::Use(7)))
        ));
        pool.give_back(None);
        assert!(matches!(
            poll(&mut second, &count),
            Poll::Ready(Ok(Turn::Make))
        ));
        assert_eq!(pool.held(), 2);
    }

    #[test]
    fn a_turn_granted_to_a_caller_who_left_goes_to_the_next() {
        let pool = Pool::<u32>::new(1, 10);
        let count = Arc::<Count>::default();
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        let (mut first, mut second) = (pool.take(), pool.take());
        assert!(poll(&mut first, &count).is_pending());
        assert!(poll(&mut second, &count).is_pending());
        pool.give_back(Some(7));
        drop(first);
        assert!(matches!(
            poll(&mut second, &count),
            Poll::Ready(Ok(Turn::Use(7)))
        ));
        pool.give_back(Some(7));
        assert!(matches!(pool.try_take(), Some(Turn::Use(7))));
    }

    #[test]
    fn a_caller_who_leaves_the_queue_is_not_served() {
        let pool = Pool::<u32>::new(1, 10);
        let count = Arc::<Count>::default();
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        let mut first = pool.take();
        assert!(poll(&mut first, &count).is_pending());
        drop(first);
        pool.give_back(Some(7));
        assert!(matches!(pool.try_take(), Some(Turn::Use(7))));
    }

    #[test]
    fn the_queue_is_bounded() {
        let pool = Pool::<u32>::new(1, 1);
        let count = Arc::<Count>::default();
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        let (mut first, mut second) = (pool.take(), pool.take());
        assert!(poll(&mut first, &count).is_pending());
        assert!(matches!(
            poll(&mut second, &count),
            Poll::Ready(Err(Error::Overloaded { waiting: 1 }))
        ));
    }

    #[test]
    fn a_retired_pool_serves_those_who_wait_and_keeps_nothing() {
        let pool = Pool::<Arc<()>>::new(2, 10);
        let count = Arc::<Count>::default();
        let instance = Arc::new(());
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        assert!(matches!(pool.try_take(), Some(Turn::Make)));
        let mut waiting = pool.take();
        assert!(poll(&mut waiting, &count).is_pending());
        pool.retire();
        pool.give_back(Some(instance.clone()));
        assert!(matches!(
            poll(&mut waiting, &count),
            Poll::Ready(Ok(Turn::Make))
        ));
        assert_eq!(Arc::strong_count(&instance), 1);
        pool.give_back(None);
        pool.give_back(None);
        assert_eq!(pool.held(), 0);
    }
}
