//! Async functions, streams and futures, both ways.

wit_bindgen::generate!({ path: "wit" });

use demo::tasks::services;
use futures::future::join_all;
use wit_bindgen::{FutureReader, StreamReader, StreamResult, spawn_local};

struct AsyncEcho;

const CHUNK: usize = 4096;

impl Guest for AsyncEcho {
    fn add(a: u32, b: u32) -> u32 {
        a.wrapping_add(b)
    }

    async fn double_all(values: Vec<u32>) -> Vec<u32> {
        join_all(values.into_iter().map(services::double)).await
    }

    async fn fetch(key: String) -> Result<Vec<u8>, String> {
        services::fetch(key).await
    }

    async fn upper(mut text: StreamReader<u8>) -> StreamReader<u8> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            loop {
                let (status, mut chunk) = text.read(Vec::with_capacity(CHUNK)).await;
                chunk.make_ascii_uppercase();
                let unread = writer.write_all(chunk).await;
                if !unread.is_empty() || status == StreamResult::Dropped {
                    break;
                }
            }
        });
        reader
    }

    async fn count_up(count: u32) -> StreamReader<u32> {
        let (mut writer, reader) = wit_stream::new();
        spawn_local(async move {
            for number in 0..count {
                if writer.write_one(number).await.is_some() {
                    break; // nobody reads any more
                }
            }
        });
        reader
    }

    async fn sum(numbers: StreamReader<u32>) -> u64 {
        numbers.collect().await.into_iter().map(u64::from).sum()
    }

    async fn later(value: String) -> FutureReader<String> {
        let (writer, reader) = wit_future::new(String::new);
        spawn_local(async move {
            // A reader that went away is its own business.
            let _ = writer.write(value).await;
        });
        reader
    }

    async fn wait_for(value: FutureReader<String>) -> String {
        value.await
    }
}

export!(AsyncEcho);
