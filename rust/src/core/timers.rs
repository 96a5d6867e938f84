//! One deadline per connection in an indexed binary heap: setting, moving and clearing cost O(log n), asking for the next
//! one nothing, and there is never more than one entry per connection (a heap with lazy deletion would collect one stale
//! idle deadline per packet).

use std::time::Instant;

const NOWHERE: u32 = u32::MAX;

/// Deadlines by slot number.
#[derive(Default)]
pub struct Timers {
    heap: Vec<(Instant, u32)>,
    place: Vec<u32>,
}

impl Timers {
    /// The earliest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.heap.first().map(|entry| entry.0)
    }

    /// Set, move or (with `None`) clear the deadline of `slot`.
    pub fn set(&mut self, slot: usize, deadline: Option<Instant>) {
        if self.place.len() <= slot {
            self.place.resize(slot + 1, NOWHERE);
        }
        let place = self.place[slot];
        match (deadline, place == NOWHERE) {
            (None, true) => {}
            (None, false) => self.remove(place as usize),
            (Some(deadline), true) => {
                self.heap.push((deadline, slot as u32));
                self.up(self.heap.len() - 1);
            }
            (Some(deadline), false) => {
                let place = place as usize;
                let before = std::mem::replace(&mut self.heap[place].0, deadline);
                if deadline < before {
                    self.up(place);
                } else if deadline > before {
                    self.down(place);
                }
            }
        }
    }

    /// Take one slot whose deadline is not after `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<usize> {
        let &(deadline, slot) = self.heap.first()?;
        if deadline > now {
            return None;
        }
        self.remove(0);
        Some(slot as usize)
    }

    fn remove(&mut self, place: usize) {
        let (_, slot) = self.heap.swap_remove(place);
        self.place[slot as usize] = NOWHERE;
        if place < self.heap.len() {
            self.up(place);
            self.down(place);
        }
    }

    fn up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.heap.swap(parent, place);
            self.note(place);
            place = parent;
        }
        self.note(place);
    }

    fn down(&mut self, mut place: usize) {
        loop {
            let (left, right) = (2 * place + 1, 2 * place + 2);
            let mut least = place;
            for child in [left, right] {
                if child < self.heap.len() && self.heap[child].0 < self.heap[least].0 {
                    least = child;
                }
            }
            if least == place {
                break;
            }
            self.heap.swap(least, place);
            self.note(place);
            place = least;
        }
        self.note(place);
    }

    fn note(&mut self, place: usize) {
        self.place[self.heap[place].1 as usize] = place as u32;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn deadlines_come_in_order_whatever_moved() {
        let base = Instant::now();
        let at = |ms: u64| base + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let mut wanted = std::collections::BTreeMap::new();
        let mut x: u64 = 12345;
        for _ in 0..5000 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (slot, time) = ((x >> 33) as usize % 97, (x >> 20) % 1000);
            if time % 7 == 0 {
                timers.set(slot, None);
                wanted.remove(&slot);
            } else {
                timers.set(slot, Some(at(time)));
                wanted.insert(slot, time);
            }
            assert_eq!(timers.next(), wanted.values().min().map(|&ms| at(ms)));
        }
        assert_eq!(timers.heap.len(), wanted.len());
        let mut last = 0;
        while let Some(slot) = timers.pop_due(at(500)) {
            let time = wanted.remove(&slot).expect("known slot");
            assert!(time >= last && time <= 500);
            last = time;
        }
        assert!(wanted.values().all(|&time| time > 500));
    }
}
