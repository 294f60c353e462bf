// An SDRAM chip at the pins of a simulated board, which says which rule of its data sheet is broken.
//
// Written from the data sheets' command tables and times, apart from the controller and from the
// models that know its cycles.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace kaniwa {

class SdramChip {
public:
    // In the order of kaniwa.sim.board.board_design: bytes of a column, columns, rows; then clocks.
    struct Figures {
        uint32_t width, columns, rows, rcd, rp, ras, rc, rfc, rrd, wr, refi, power_up;
    };
    static constexpr unsigned BANKS = 4;

    explicit SdramChip(const uint32_t *numbers) {
        std::memcpy(&f, numbers, sizeof f);
        memory.resize(uint64_t(BANKS) * f.rows * f.columns * f.width);
        uint64_t noise = 0x9E3779B97F4A7C15ull;
        for (auto &byte : memory) {
            noise = noise * 6364136223846793005ull + 1442695040888963407ull;
            byte = noise >> 56;
        }
    }

    // One clock: asserted ras, cas and we in bits 0 to 2. `word` is what is on the data pins.
    // Returns whether the chip drives them in this clock, with `given`.
    bool clock(unsigned command, unsigned bank, uint32_t address, uint32_t mask, uint32_t word,
               uint32_t &given) {
        now++;
        if (command) take(command, bank, address);
        write(mask, word);
        masks[now % masks.size()] = mask;
        refresh_in_time();
        const auto read = reads.find(now);
        if (read == reads.end()) return false;
        given = load(read->second);
        reads.erase(read);
        if (masks[(now - 2) % masks.size()]) refuse("a word that is read was masked");
        return true;
    }

    // The rule that was broken first; empty if none was.
    const std::string &broken() const { return rule; }

    // Memory by address: columns, then banks, then rows. False if it has no such bytes.
    bool holds(uint64_t address, uint64_t size) const {
        return size <= memory.size() && address <= memory.size() - size;
    }
    uint8_t *at(uint64_t address) { return memory.data() + address; }

private:
    static constexpr int64_t NEVER = INT64_MIN / 2;
    enum { ACTIVATE = 1, READ = 2, REFRESH = 3, PRECHARGE = 5, WRITE = 6, LOAD_MODE = 7 };
    static constexpr unsigned START_REFRESHES = 8, MODE_CLOCKS = 2, POSTPONED = 8;

    struct Bank {
        bool open = false;
        uint32_t row = 0;
        int64_t activated = NEVER, closed = NEVER, written = NEVER;
    };

    void refuse(const char *what) {
        if (rule.empty()) rule = std::string(what) + ", at clock " + std::to_string(now);
    }
    void need(bool met, const char *what) {
        if (!met) refuse(what);
    }

    void take(unsigned command, unsigned number, uint32_t address) {
        Bank &bank = banks[number];
        need(now >= int64_t(f.power_up), "a command before the end of its power-up time");
        need(now >= busy_until, "a command within tRFC, or within tMRD");
        switch (command) {
        case ACTIVATE:
            need(burst, "a row is opened before the mode was loaded");
            need(!bank.open, "a row is opened in a bank with an open row");
            need(now - bank.closed >= f.rp, "tRP");
            need(now - bank.activated >= f.rc, "tRC");
            need(now - activated >= f.rrd, "tRRD");
            need(address < f.rows, "there is no such row");
            bank.open = true;
            bank.row = address;
            bank.activated = activated = now;
            break;
        case READ:
        case WRITE:
            column(command == WRITE, number, address);
            break;
        case PRECHARGE:
            for (unsigned each = 0; each < BANKS; each++)
                if (address >> 10 & 1 || each == number) close(each);
            break;
        case REFRESH:
            all_closed();
            busy_until = now + f.rfc;
            refreshes++;
            break;
        case LOAD_MODE:
            all_closed();
            need(refreshes >= START_REFRESHES, "the mode is loaded before 8 refreshes");
            need(!number && !(address & 0x188), "a reserved mode");
            burst = 1u << (address & 7);
            cas = address >> 4 & 7;
            single = address >> 9 & 1;
            busy_until = now + MODE_CLOCKS;
            mode_loaded = now;
            refreshes = 0;
            break;
        default:
            refuse("an unknown command");
        }
    }

    void all_closed() {
        for (const Bank &bank : banks) {
            need(!bank.open, "a row is open at a refresh, or as the mode is loaded");
            need(now - bank.closed >= f.rp, "tRP");
            need(now - bank.activated >= f.rc, "tRC");
        }
    }

    uint64_t place(unsigned bank, uint32_t row, uint32_t column) const {
        return ((uint64_t(row) * BANKS + bank) * f.columns + column) * f.width;
    }

    void column(bool is_write, unsigned number, uint32_t address) {
        const Bank &bank = banks[number];
        need(bank.open, "a column of a closed row");
        need(now - bank.activated >= f.rcd, "tRCD");
        need(!(address >> 10 & 1), "a column command that closes its row, which is not modelled");
        need(address < f.columns, "there is no such column");
        if (!burst || !rule.empty()) return;
        const uint32_t base = address - address % burst;   // a burst stays in its own columns
        writes.clear();                                    // it ends the one before
        if (is_write)
            need(reads.empty(), "a write while words that are read are to come");
        else
            need(reads.lower_bound(now + cas) == reads.end(), "a read ends another one");
        for (uint32_t i = 0; i < (is_write && single ? 1 : burst); i++) {
            const uint64_t at = place(number, bank.row, base + (address + i) % burst);
            if (is_write)
                writes[now + i] = at;
            else
                reads[now + cas + i] = at;
        }
        if (!is_write) reading[number] = now + burst;
    }

    void close(unsigned number) {
        Bank &bank = banks[number];
        if (!bank.open) return;
        need(now - bank.activated >= f.ras, "tRAS");
        need(now - bank.written >= f.wr, "tWR");
        need(now >= reading[number], "a row is closed while it is read");
        for (auto write = writes.begin(); write != writes.end();)
            write = bank_of(write->second) == number ? writes.erase(write) : std::next(write);
        bank.open = false;
        bank.closed = now;
    }

    unsigned bank_of(uint64_t address) const { return address / f.width / f.columns % BANKS; }

    void write(uint32_t mask, uint32_t word) {
        const auto found = writes.find(now);
        if (found == writes.end()) return;
        const uint64_t at = found->second;
        for (uint32_t byte = 0; byte < f.width; byte++)
            if (!(mask >> byte & 1)) {
                memory[at + byte] = word >> 8 * byte;
                banks[bank_of(at)].written = now;
            }
        writes.erase(found);
    }

    uint32_t load(uint64_t at) const {
        uint32_t word = 0;
        for (uint32_t byte = 0; byte < f.width; byte++)
            word |= uint32_t(memory[at + byte]) << 8 * byte;
        return word;
    }

    void refresh_in_time() {
        if (!burst || (now - mode_loaded) % f.refi) return;
        const uint64_t due = uint64_t(now - mode_loaded) / f.refi;
        need(refreshes + POSTPONED >= due, "more than 8 refreshes are late");
    }

    Figures f;
    std::vector<uint8_t> memory;
    std::array<Bank, BANKS> banks;
    std::array<int64_t, BANKS> reading{};    // the first clock in which its row may be closed
    std::map<int64_t, uint64_t> reads, writes;   // the words of bursts, by clock
    std::array<uint32_t, 4> masks{};
    int64_t now = -1, busy_until = NEVER, activated = NEVER, mode_loaded = 0;
    uint32_t burst = 0, cas = 0;
    bool single = false;
    uint64_t refreshes = 0;
    std::string rule;
};

}  // namespace kaniwa
