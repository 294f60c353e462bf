// A model of DDR3 chips beside each other, and of the PHY before them, at the PHY's own side (DFI).
//
// It checks the rules of the standard (JEDEC JESD79-3F) for chips of 16 bits at DDR3-1600, and gives
// words only of a lane whose settings are right. It is written apart from the controller and from
// the cycle model, and keeps the first rule that was broken.

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace kaniwa {

class Ddr3Chips {
public:
    static constexpr unsigned PHASES = 2, BEATS = 8, COLUMNS = 1024;

    // Latencies of the PHY in cycles of the controller; `khz` of the chips' clock.
    struct Figures {
        uint32_t lanes, row_pins, bank_pins, read_latency, write_latency, cl, cwl, khz;
    };

    // What the controller gives in a cycle. A phase's bits are beside those of the one before.
    struct Given {
        uint32_t reset_n, cke, cs_n, ras_n, cas_n, we_n, bank[PHASES], address[PHASES];
        uint32_t write_enable, read_enable;
        const uint8_t *data;
        uint64_t mask;
        uint32_t lane, delay_reset, delay_next, slip_reset, slip_next, burst_clear;
    };

    explicit Ddr3Chips(const Figures &figures) : f(figures), settings(f.lanes), banks(1u << f.bank_pins) {
        // Refreshes take as long as the density asks for: rows of 2 KiB in 8 banks.
        const uint32_t rfc_ns = f.row_pins <= 13 ? 110 : f.row_pins == 14 ? 160 : f.row_pins == 15 ? 260 : 350;
        // tRC is tRAS and tRP. Four times tRRD is longer than tFAW up to 400 MHz.
        rcd = clocks(13.75), rp = clocks(13.75), ras = clocks(35);
        rrd = std::max(4l, clocks(7.5)), wr = clocks(15);
        wtr = rtp = std::max(4l, clocks(7.5));
        rfc = clocks(rfc_ns), refi = clocks(7800), xpr = std::max(5l, clocks(rfc_ns + 10));
        mod = std::max(12l, clocks(15)), zq = std::max(512l, clocks(640));
        zq_short = std::max(64l, clocks(80));
        reset_low = clocks(200'000), cke_low = clocks(500'000);
    }

    // One cycle of the controller. `read` is filled with the burst that comes in the next one.
    // Returns whether there is one; `seen` has the lanes whose strobe was seen.
    bool cycle(const Given &given, uint8_t *read, uint32_t &seen) {
        change(given);
        if (given.burst_clear) strobes = 0;
        for (unsigned phase = 0; phase < PHASES; phase++) clock(given, phase);
        for (auto &burst : reads)
            if (cycles == burst.fetched) burst.data = load(burst.place);
        if (!writes.empty() && writes.front().first == cycles) {
            store(writes.front().second, given.data, given.mask);
            writes.pop_front();
        }
        cycles++;
        seen = strobes;
        if (reads.empty() || reads.front().given != cycles) return false;
        give(reads.front().data, read);
        seen = strobes;
        reads.pop_front();
        return true;
    }

    // The rule that was broken first; empty if none was.
    const std::string &broken() const { return rule; }

private:
    static constexpr int64_t NEVER = INT64_MIN / 2;
    static constexpr unsigned PAGE = 4096, POSTPONED = 8, CCD = 4, MRD = 4, BURST = BEATS / 2;
    static constexpr unsigned DELAYS = 8, SLIPS = 4;
    // Asserted we, cas and ras in bits 0 to 2.
    enum { ZQCL = 1, READ = 2, WRITE = 3, ACTIVATE = 4, PRECHARGE = 5, REFRESH = 6, LOAD_MODE = 7 };

    struct Settings { unsigned delay = 0, slip = 0; };
    struct Bank {
        bool open = false;
        uint32_t row = 0;
        // `closed`: from when on tRP counts. `close_from`: when it may be closed.
        int64_t activated = NEVER, closed = NEVER, close_from = NEVER;
    };
    struct Burst {
        int64_t fetched, given;
        uint64_t place;
        std::vector<uint8_t> data;
    };

    int64_t clocks(double ns) const { return int64_t((ns * f.khz + 999'999) / 1'000'000); }

    void need(bool met, const char *what) {
        if (!met && rule.empty()) rule = std::string(what) + ", at clock " + std::to_string(now);
    }

    // Lanes change only while they are held, and have as many settings as the FPGA's.
    void change(const Given &given) {
        const uint32_t any = given.delay_reset | given.delay_next | given.slip_reset | given.slip_next;
        need(!any || given.lane, "settings change that are of no lane");
        for (uint32_t lane = 0; lane < f.lanes; lane++) {
            if (!(given.lane >> lane & 1)) continue;
            Settings &own = settings[lane];
            if (given.delay_reset) own.delay = 0;
            if (given.slip_reset) own.slip = 0;
            if (given.delay_next) own.delay = (own.delay + 1) % DELAYS;
            if (given.slip_next) own.slip = (own.slip + 1) % SLIPS;
        }
    }

    // The settings that are right are those of one slip, and of three delays; not the same ones in
    // each lane.
    bool right(uint32_t lane) const {
        const Settings &own = settings[lane];
        const unsigned first = 2 + lane % 3;
        return own.slip == (lane + 1) % SLIPS && own.delay >= first && own.delay < first + 3;
    }

    void give(const std::vector<uint8_t> &data, uint8_t *read) {
        for (uint32_t at = 0; at < data.size(); at++) {
            const uint32_t lane = at % f.lanes;
            read[at] = right(lane) ? data[at] : data[(at + f.lanes) % data.size()] ^ 0x81;
        }
        for (uint32_t lane = 0; lane < f.lanes; lane++)
            if (settings[lane].delay > lane % 3) strobes |= 1u << lane;
    }

    void clock(const Given &given, unsigned phase) {
        const auto bit = [phase](uint32_t word) { return word >> phase & 1; };
        begin(bit(given.reset_n), bit(given.cke));
        const unsigned command = !bit(given.we_n) | !bit(given.cas_n) << 1 | !bit(given.ras_n) << 2;
        const bool taken = !bit(given.cs_n) && command;
        need(taken && command == READ || !bit(given.read_enable), "words are waited for without a read");
        need(taken && command == WRITE || !bit(given.write_enable), "words without a write");
        if (taken) {
            need(bit(given.cke), "a command with CKE low");
            need(command != READ || bit(given.read_enable), "a read whose words nothing waits for");
            need(command != WRITE || bit(given.write_enable), "a write without words");
            take(command, given.bank[phase], given.address[phase]);
        }
        if (started && (now - started_at) % refi == 0)
            need(refreshes + POSTPONED >= (now - started_at) / refi, "more than 8 refreshes are late");
        now++;
    }

    // RESET# and CKE at power-up (3.3.1). What was stored is lost with another RESET#.
    void begin(bool reset_n, bool cke) {
        if (reset_n && !running) {
            need(now - reset_from >= reset_low, "RESET# was low for less than 200 us");
            running = true;
            cke_from = now + cke_low;
        }
        if (!reset_n && running) {
            running = enabled = started = false;
            reset_from = now;
            modes = 0, refreshes = 0;
            std::fill(banks.begin(), banks.end(), Bank());
            reads.clear(), writes.clear(), memory.clear();
            busy_until = read_at = written_at = last_mode = activated = NEVER;
        }
        if (cke && !enabled) {
            need(running && now >= cke_from, "CKE was low for less than 500 us behind RESET#");
            enabled = true;
            busy_until = now + xpr;
        }
        need(cke || !enabled, "CKE is low without RESET#, which is not modelled");
    }

    void take(unsigned command, uint32_t number, uint32_t address) {
        Bank &bank = banks[number];
        need(now >= busy_until, "a command within tXPR, tMRD, tMOD, tZQinit, tZQCS or tRFC");
        switch (command) {
        case LOAD_MODE: load_mode(number, address); break;
        case ZQCL:
            need(modes == 0b1111, "calibration before all modes were loaded");
            need(started || address >> 10 & 1, "a short calibration at the start");
            need(started || now >= last_mode + mod, "tMOD");
            all_closed();
            busy_until = now + (address >> 10 & 1 ? zq : zq_short);
            if (!started) started = true, started_at = now;
            break;
        case ACTIVATE:
            need(started, "a row is opened before the chips were calibrated");
            need(!bank.open, "a row is opened in a bank with an open row");
            need(now - bank.closed >= rp, "tRP");
            need(now - activated >= rrd, "tRRD");
            need(!(address >> f.row_pins), "there is no such row");
            bank.open = true, bank.row = address, bank.activated = activated = now;
            bank.close_from = now + ras;
            break;
        case READ:
        case WRITE: column(command == WRITE, number, address); break;
        case PRECHARGE:
            for (uint32_t each = 0; each < banks.size(); each++)
                if (address >> 10 & 1 || each == number) close(banks[each], now);
            break;
        case REFRESH:
            need(started, "a refresh before the chips were calibrated");
            all_closed();
            busy_until = now + rfc;
            refreshes++;
            break;
        default: need(false, "an unknown command");
        }
    }

    // MR2, MR3, MR1 and MR0, in this order (3.3.1), with what the PHY counts on (3.4).
    void load_mode(uint32_t number, uint32_t value) {
        static const uint32_t ORDER[] = {2, 3, 1, 0};
        const unsigned loaded = __builtin_popcount(modes);
        need(loaded < 4 && ORDER[loaded] == number, "modes are loaded in another order than MR2, 3, 1, 0");
        if (number == 0) {
            need(!(value & 0b1011), "bursts other than 8 words in a row");
            need((value >> 4 & 7) + 4 == f.cl && !(value >> 2 & 1), "CL is not what the PHY waits");
            need(value >> 8 & 1, "the chips' DLL is not reset");
        }
        if (number == 1) need(!(value & 1), "the chips' DLL is off");
        if (number == 2) need((value >> 3 & 7) + 5 == f.cwl, "CWL is not what the PHY waits");
        modes |= 1u << number;
        last_mode = now;
        busy_until = now + MRD;
    }

    void all_closed() {
        for (const Bank &bank : banks) {
            need(!bank.open, "a row is open at a refresh or a calibration");
            need(now - bank.closed >= rp, "tRP");
        }
    }

    void close(Bank &bank, int64_t at) {
        if (!bank.open) return;
        need(at >= bank.close_from, "tRAS, tRTP or tWR");
        bank.open = false;
        bank.closed = at;
    }

    void column(bool is_write, uint32_t number, uint32_t address) {
        Bank &bank = banks[number];
        const int64_t cl = f.cl, cwl = f.cwl;
        need(bank.open, "a column of a closed row");
        need(now - bank.activated >= rcd, "tRCD");
        need(now - std::max(read_at, written_at) >= CCD, "tCCD");
        if (is_write)
            need(now - read_at >= cl + CCD + 2 - cwl, "words of a write meet those of a read");
        else
            need(now - written_at >= cwl + BURST + wtr, "tWTR");
        const uint32_t first = address & (COLUMNS - 1);
        need(!(first % BEATS), "a burst that begins within itself");
        const uint64_t place = ((uint64_t(bank.row) * banks.size() + number) * COLUMNS + first) * f.lanes;
        (is_write ? written_at : read_at) = now;
        if (is_write) {
            writes.push_back({cycles + f.write_latency, place});
            bank.close_from = std::max(bank.close_from, now + cwl + BURST + wr);
        } else {
            reads.push_back({cycles + (cl + PHASES - 1) / PHASES, cycles + f.read_latency, place, {}});
            bank.close_from = std::max(bank.close_from, now + rtp);
        }
        if (address >> 10 & 1) close(bank, bank.close_from);
    }

    uint8_t *page(uint64_t place) {
        std::vector<uint8_t> &bytes = memory[place / PAGE];
        if (bytes.empty()) {
            bytes.resize(PAGE);
            uint64_t noise = place / PAGE * 0x9E3779B97F4A7C15ull + 1;
            for (auto &byte : bytes) {
                noise = noise * 6364136223846793005ull + 1442695040888963407ull;
                byte = noise >> 56;
            }
        }
        return bytes.data() + place % PAGE;
    }

    std::vector<uint8_t> load(uint64_t place) {
        const uint8_t *bytes = page(place);
        return std::vector<uint8_t>(bytes, bytes + BEATS * f.lanes);
    }

    void store(uint64_t place, const uint8_t *data, uint64_t mask) {
        uint8_t *bytes = page(place);
        for (uint32_t at = 0; at < BEATS * f.lanes; at++)
            if (!(mask >> at & 1)) bytes[at] = data[at];
    }

    Figures f;
    int64_t rcd, rp, ras, rrd, wr, wtr, rtp, rfc, refi, xpr, mod, zq, zq_short, reset_low, cke_low;
    std::vector<Settings> settings;
    std::vector<Bank> banks;
    std::unordered_map<uint64_t, std::vector<uint8_t>> memory;   // pages of the columns in their rows
    std::deque<Burst> reads;
    std::deque<std::pair<int64_t, uint64_t>> writes;             // by the cycle of their words
    int64_t activated = NEVER, now = 0, cycles = 0, busy_until = NEVER, cke_from = 0, read_at = NEVER, written_at = NEVER;
    int64_t reset_from = 0, last_mode = NEVER, started_at = 0, refreshes = 0;
    bool running = false, enabled = false, started = false;
    uint32_t modes = 0, strobes = 0;
    std::string rule;
};

}  // namespace kaniwa
