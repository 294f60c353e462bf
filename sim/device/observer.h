// What an observed core's units do from cycle to cycle, as spans and as texts of a waveform.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace kaniwa {

// Words of 32 bits in the core's port `observed`: one a unit, then "the run goes on" and the bytes
// in the line buffer. A unit's word: the number of its instruction, above it its state.
constexpr unsigned WORDS = OBSERVED_WORDS, UNITS = WORDS - 2;
constexpr unsigned RUNNING = UNITS, HELD = UNITS + 1;
constexpr uint64_t LEVEL_CYCLES = 64;  // between two looks at the line buffer

struct Span {
    uint64_t first;
    uint32_t cycles;
    uint16_t instruction;
    uint8_t unit, state;
};

struct Level {
    uint64_t cycle;
    uint64_t bytes;
};

// Joins cycles in which a unit does the same to spans, with cycles counted from a run's begin.
class Observer {
public:
    std::vector<Span> spans;
    std::vector<Level> levels;

    void begin() {
        spans.clear();
        levels.clear();
        cycle = 0;
        for (unsigned u = 0; u < UNITS; u++) since[u] = seen[u] = 0;
        held = ~0u;
    }

    void see(const uint32_t *words) {
        if (!words[RUNNING]) return;
        for (unsigned u = 0; u < UNITS; u++)
            if (words[u] != seen[u]) {
                close(u);
                seen[u] = words[u];
            }
        if (cycle % LEVEL_CYCLES == 0 && words[HELD] != held) {
            held = words[HELD];
            levels.push_back({cycle, held});
        }
        cycle++;
    }

    void end() {
        for (unsigned u = 0; u < UNITS; u++) close(u);
    }

private:
    void close(unsigned u) {
        const uint8_t state = seen[u] >> 16;
        if (state && cycle != since[u])
            spans.push_back({since[u], static_cast<uint32_t>(cycle - since[u]),
                             static_cast<uint16_t>(seen[u]), static_cast<uint8_t>(u), state});
        since[u] = cycle;
    }

    uint64_t cycle = 0, since[UNITS];
    uint32_t seen[UNITS], held;
};

inline std::vector<std::string> lines(const char *text) {
    std::vector<std::string> parts;
    while (const char *end = std::strchr(text, '\n')) {
        parts.emplace_back(text, end);
        text = end + 1;
    }
    return parts;
}

#ifdef KANIWA_TRACE

// A VCD file that gets variables of type string besides what Verilator writes.
class TextVcd : public VerilatedVcdFile {
public:
    std::vector<std::string> names;

    void change(uint64_t time, unsigned signal, const std::string &text) {
        changes.push_back({time, 's' + text + ' ' + id(signal) + '\n'});
    }

    // Takes Verilator's text, which may end anywhere, and gives it on with ours.
    ssize_t write(const char *text, ssize_t length) override {
        for (const char *end = text + length; text != end;) {
            const char *next = static_cast<const char *>(std::memchr(text, '\n', end - text));
            next = next ? next + 1 : end;
            line.append(text, next);
            text = next;
            if (line.back() == '\n') finish_line();
        }
        if (out.size() > FLUSH) flush();
        return length;
    }

    void close() override {
        out += line;
        line.clear();
        give(~uint64_t{0});
        flush();
        VerilatedVcdFile::close();
    }

private:
    struct Change {
        uint64_t time;
        std::string text;
    };
    static constexpr size_t FLUSH = 1 << 20;

    static std::string id(unsigned signal) { return "~~~" + std::string(1, '!' + signal); }

    void finish_line() {
        if (line[0] == '#') give(std::stoull(line.substr(1)));
        if (header) read_header();
        out += line;
        line.clear();
    }

    void read_header() {
        if (line.find("$enddefinitions") == 0) {
            declare();
            header = false;
        }
        // A signal that the back end of Verilog adds to each module, and GTKWave does not take.
        const size_t first = line.find(" $auto$");
        if (first != std::string::npos)
            line.replace(first + 1, line.find(' ', first + 1) - first - 1, "unused");
    }

    void declare() {
        out += "$scope module kaniwa $end\n";
        for (unsigned i = 0; i < names.size(); i++)
            out += "$var string 1 " + id(i) + ' ' + names[i] + " $end\n";
        out += "$upscope $end\n";
    }

    // Changes belong behind all others of their time.
    void give(uint64_t before) {
        while (given < changes.size() && changes[given].time < before)
            out += changes[given++].text;
        if (given == changes.size()) {
            changes.clear();
            given = 0;
        }
    }

    void flush() {
        VerilatedVcdFile::write(out.data(), out.size());
        out.clear();
    }

    bool header = true;
    std::string line, out;
    std::vector<Change> changes;
    size_t given = 0;
};

// The texts of a waveform: the running layer, its operator and the array's mode, and each unit's state and layer.
class Texts {
public:
    // Tables of texts: a unit's name; a state's word; by the numbers of instructions their layers'
    // names, operators and modes; by those of LAYERs the layers' names; for each unit "1" if it
    // counts these.
    enum Table { UNIT, STATE, LAYER, OPERATOR, MODE, OF_LAYERS, COUNTS_LAYERS, TABLES };

    std::vector<std::string> tables[TABLES];

    void declare(TextVcd &file) {
        file.names = {"layer", "operator", "mode"};
        for (unsigned u = 0; u < UNITS; u++)
            if (!at(UNIT, u).empty()) {
                file.names.push_back(at(UNIT, u));
                file.names.push_back(at(UNIT, u) + "_layer");
            }
        shown.assign(file.names.size(), 0);
        texts.assign(file.names.size(), "");
    }

    void see(const uint32_t *words, uint64_t time, TextVcd &file) {
        const bool running = words[RUNNING];
        unsigned signal = 0;
        const uint32_t array = running ? (words[ARRAY] & 0xFFFF) + 1 : 0;
        for (const Table table : {LAYER, OPERATOR, MODE}) show(file, time, signal++, array, table);
        for (unsigned u = 0; u < UNITS; u++) {
            if (at(UNIT, u).empty()) continue;
            const uint32_t state = words[u] >> 16;
            const Table table = at(COUNTS_LAYERS, u) == "1" ? OF_LAYERS : LAYER;
            show(file, time, signal++, state + 1, STATE);
            show(file, time, signal++, running && state ? (words[u] & 0xFFFF) + 1 : 0, table);
        }
    }

private:
    static constexpr unsigned ARRAY = 3;

    const std::string &at(Table table, uint32_t index) const {
        static const std::string none;
        return index < tables[table].size() ? tables[table][index] : none;
    }

    // `number`: one more than the place in the table, 0 for no text.
    void show(TextVcd &file, uint64_t time, unsigned signal, uint32_t number, Table table) {
        if (shown[signal] == number + 1) return;
        shown[signal] = number + 1;
        std::string text = number ? at(table, number - 1) : "";
        if (text.empty()) text = "-";
        if (texts[signal] == text) return;
        file.change(time, signal, text);
        texts[signal] = std::move(text);
    }

    std::vector<uint32_t> shown;  // the numbers of what was looked up last
    std::vector<std::string> texts;
};

#endif

}  // namespace kaniwa
