//! Streams and futures of every kind, both ways.

wit_bindgen::generate!({ path: "wit", generate_all });

use std::cell::RefCell;

use demo::streams::sink;
use wit_bindgen::{
    FutureReader, FutureWriter, StreamReader, StreamResult, StreamWriter, spawn_local,
};

struct Streams;

thread_local! {
    static WRITTEN: RefCell<(u32, u32)> = const { RefCell::new((0, 0)) };
    /// Ends that are never used again and never dropped.
    static KEPT: RefCell<(Vec<StreamWriter<u32>>, Vec<FutureWriter<String>>)> =
        const { RefCell::new((Vec::new(), Vec::new())) };
}

fn reading(number: u32) -> Reading {
    Reading {
        sensor: if number.is_multiple_of(2) { "even" } else { "odd" }.to_owned(),
        celsius: f64::from(number) / 2.0,
        tags: (0..number % 4).map(|tag| format!("tag {tag}")).collect(),
    }
}

async fn write_bytes(mut writer: StreamWriter<u8>, count: u64, piece: u32) -> u64 {
    let mut at = 0;
    while at < count {
        let end = count.min(at + u64::from(piece));
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below 251")]
        let chunk = (at..end).map(|position| (position % 251) as u8).collect();
        if !writer.write_all(chunk).await.is_empty() {
            break; // nobody reads any more
        }
        at = end;
    }
    at
}

async fn sum(mut data: StreamReader<u8>, piece: u32) -> (u64, u64) {
    let (mut total, mut count) = (0, 0);
    let mut buffer = Vec::with_capacity(piece as usize);
    loop {
        let (status, mut chunk) = data.read(buffer).await;
        total += chunk.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        count += chunk.len() as u64;
        if status == StreamResult::Dropped {
            return (total, count);
        }
        chunk.clear();
        buffer = chunk;
    }
}

impl Guest for Streams {
    async fn bytes(count: u64, piece: u32) -> StreamReader<u8> {
        let (writer, reader) = wit_stream::new();
        spawn_local(async move {
            write_bytes(writer, count, piece).await;
        });
        reader
    }

    async fn sum_bytes(data: StreamReader<u8>, piece: u32) -> (u64, u64) {
        sum(data, piece).await
    }

    async fn measure(count: u32) -> StreamReader<Reading> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all((0..count).map(reading).collect()).await;
        });
        reader
    }

    async fn events() -> StreamReader<Event> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let events = vec![
                Event::Started,
                Event::Took(reading(3)),
                Event::Failed("no power".to_owned()),
            ];
            writer.write_all(events).await;
        });
        reader
    }

    async fn filter(mut readings: StreamReader<Reading>, sensor: String) -> StreamReader<Reading> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            while let Some(reading) = readings.next().await {
                if reading.sensor == sensor && writer.write_one(reading).await.is_some() {
                    break;
                }
            }
        });
        reader
    }

    async fn words(text: String) -> StreamReader<String> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for word in text.split_whitespace() {
                if writer.write_one(word.to_owned()).await.is_some() {
                    break;
                }
            }
        });
        reader
    }

    async fn long_words(count: u32, size: u32) -> StreamReader<String> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            let word = "w".repeat(size as usize);
            writer.write_all(vec![word; count as usize]).await;
        });
        reader
    }

    async fn join(words: StreamReader<String>) -> String {
        words.collect().await.join(" ")
    }

    async fn beats(count: u32) -> StreamReader<()> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all(vec![(); count as usize]).await;
        });
        reader
    }

    async fn count_beats(beats: StreamReader<()>) -> u32 {
        u32::try_from(beats.collect().await.len()).unwrap()
    }

    async fn triangle(rows: u32) -> StreamReader<StreamReader<u32>> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for length in 1..=rows {
                let (mut row, row_reader) = wit_stream::new();
                if writer.write_one(row_reader).await.is_some() {
                    break;
                }
                spawn_local(async move {
                    row.write_all((0..length).collect()).await;
                });
            }
        });
        reader
    }

    async fn trap_at(at: u32) -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for number in 0..at {
                writer.write_one(number).await;
            }
            panic!("no number {at}");
        });
        reader
    }

    async fn endless() -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for number in 0.. {
                if writer.write_one(number).await.is_some() {
                    WRITTEN.with_borrow_mut(|(_, ended)| *ended += 1);
                    break;
                }
                WRITTEN.with_borrow_mut(|(written, _)| *written += 1);
            }
        });
        reader
    }

    async fn stall(count: u32) -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_all((0..count).collect()).await;
            KEPT.with_borrow_mut(|(streams, _)| streams.push(writer));
        });
        reader
    }

    async fn spin() -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            writer.write_one(0).await;
            loop {
                std::hint::black_box(());
            }
        });
        reader
    }

    fn written() -> (u32, u32) {
        WRITTEN.with_borrow(|written| *written)
    }

    async fn back(data: StreamReader<u8>) -> StreamReader<u8> {
        data
    }

    async fn open(name: String, size: u32) -> Result<File, String> {
        if name.is_empty() {
            return Err("a file needs a name".to_owned());
        }
        let (writer, content) = wit_stream::new();
        let (size_writer, size_reader) = wit_future::new(|| 0);
        spawn_local(async move {
            let written = write_bytes(writer, u64::from(size), 1000).await;
            // A reader that went away is its own business.
            let _ = size_writer.write(written).await;
        });
        Ok(File { name, content, size: size_reader })
    }

    async fn size_of(file: File) -> u64 {
        let (_, count) = sum(file.content, 4096).await;
        assert_eq!(file.size.await, count, "the content of {} is incomplete", file.name);
        count
    }

    async fn maybe(some: bool) -> Option<FutureReader<String>> {
        some.then(|| {
            let (writer, reader) = wit_future::new(String::new);
            spawn_local(async move {
                let _ = writer.write("here it is".to_owned()).await;
            });
            reader
        })
    }

    async fn twice(value: FutureReader<u32>) -> FutureReader<u64> {
        let (writer, reader) = wit_future::new(|| 0);
        spawn_local(async move {
            let _ = writer.write(2 * u64::from(value.await)).await;
        });
        reader
    }

    async fn nothing_yet() -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        KEPT.with_borrow_mut(|(_, futures)| futures.push(writer));
        reader
    }

    async fn send(name: String, count: u64) -> Result<u64, String> {
        let (writer, reader) = wit_stream::new();
        spawn_local(async move {
            write_bytes(writer, count, 1000).await;
        });
        sink::upload(name, reader).await
    }

    async fn fetch(name: String) -> Result<(u64, u64), String> {
        let file = sink::download(name).await?;
        let (total, count) = sum(file.content, 500).await;
        assert_eq!(file.size.await, count, "the content of {} is incomplete", file.name);
        Ok((total, count))
    }

    async fn report(count: u32) -> u32 {
        let (mut writer, reader) = wit_stream::new();
        sink::watch(reader);
        let unread = writer.write_all((0..count).map(reading).collect()).await;
        count - u32::try_from(unread.len()).unwrap()
    }

    async fn ask(question: String) -> String {
        sink::answer(question).await.await
    }
}

export!(Streams);
