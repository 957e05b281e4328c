//! Resources both ways: counters of the guest, documents of the host.

wit_bindgen::generate!({ path: "wit" });

use std::cell::{Cell, RefCell};

use demo::resources::documents;
use exports::demo::resources::counters::{Counter, CounterBorrow, Guest as Counters, GuestCounter};

struct Resources;

thread_local! {
    static LIVE: Cell<u32> = const { Cell::new(0) };
    static HOARD: RefCell<Vec<Document>> = const { RefCell::new(Vec::new()) };
}

struct Count(Cell<u64>);

impl Count {
    fn starting_at(start: u64) -> Self {
        LIVE.set(LIVE.get() + 1);
        Self(Cell::new(start))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        LIVE.set(LIVE.get() - 1);
    }
}

impl GuestCounter for Count {
    fn new(start: u64) -> Self {
        Self::starting_at(start)
    }

    fn increment(&self, by: u64) -> u64 {
        self.0.set(self.0.get() + by);
        self.0.get()
    }

    fn value(&self) -> u64 {
        self.0.get()
    }

    fn merge(a: Counter, b: Counter) -> Counter {
        let (a, b): (Self, Self) = (a.into_inner(), b.into_inner());
        Counter::new(Self::starting_at(a.0.get() + b.0.get()))
    }

    fn parse(text: String) -> Result<Counter, String> {
        let start = text.parse().map_err(|error| format!("{text:?}: {error}"))?;
        Ok(Counter::new(Self::starting_at(start)))
    }
}

impl Counters for Resources {
    type Counter = Count;

    fn live() -> u32 {
        LIVE.get()
    }

    fn total(counters: Vec<CounterBorrow<'_>>) -> u64 {
        counters
            .iter()
            .map(|counter| counter.get::<Count>().0.get())
            .sum()
    }

    fn make_many(count: u32) -> Vec<Counter> {
        (0..count)
            .map(|start| Counter::new(Count::starting_at(start.into())))
            .collect()
    }

    fn maybe(start: Option<u64>) -> Option<Counter> {
        start.map(|start| Counter::new(Count::starting_at(start)))
    }

    fn pass_through(counter: Counter) -> Counter {
        counter
    }
}

impl Guest for Resources {
    fn write_and_read(name: String, parts: Vec<Vec<u8>>) -> Result<Vec<u8>, String> {
        let document = Document::new(&name);
        let mut size = 0;
        for part in parts {
            size = document.append(&part);
        }
        document.read(0, size as u32)
    }

    fn open_and_archive(name: String) -> Result<String, String> {
        Ok(documents::archive(documents::open(&name)?))
    }

    fn compare_with_itself(name: String) -> Result<bool, String> {
        let (first, second) = (documents::open(&name)?, documents::open(&name)?);
        Ok(documents::compare(&first, &second))
    }

    fn hoard(count: u32) -> u32 {
        HOARD.with_borrow_mut(|hoard| {
            hoard.extend((0..count).map(|number| Document::new(&format!("hoarded {number}"))));
        });
        Document::open_count()
    }

    fn release() {
        HOARD.with_borrow_mut(Vec::clear);
    }

    fn rename(document: Document, suffix: String) -> Document {
        Document::new(&format!("{}{suffix}", document.name()))
    }
}

export!(Resources);
