// Testbench of {{ design.name }}: small networks, whose outputs are compared with the expected bytes.
//
// It talks to the accelerator in frames over two byte streams, as a host does. A request is an
// operation, a word and a count, then data and a CRC, stuffed so that a zero ends it.
// The hex files have one word of 32 bits of device memory a line: mask of its bytes, address, data.

module {{ design.name }}_tb;
    localparam RUNS = {{ runs }};
    localparam WRITES = {{ writes }};       // words of all runs together
    localparam CHECKS = {{ checks }};
    localparam LONGEST_RUN = 10_000_000;    // cycles

    // Operations of requests, flags of replies, and the address of the registers in a READ
    localparam [1:0] OPEN = 0, WRITE = 1, READ = 2, REGISTER = 3;
    localparam [3:0] DATA = 1;
    localparam [31:0] REGISTERS = 32'h4000_0000;
{% for word in used %}
    localparam [7:0] {{ word.name }} = {{ word.index }};
{% endfor %}
    localparam [31:0] MAGIC_VALUE = 32'h{{ "%08X" % magic }};

    // The testbench changes its signals at the falling edge, the accelerator at the rising one.
    reg clk, rst;
    reg [7:0] s_axis_tdata;
    reg s_axis_tvalid;
    wire s_axis_tready;
    wire [7:0] m_axis_tdata;
    wire m_axis_tvalid;
    reg m_axis_tready;

    {{ design.name }} dut (
        .clk(clk), .rst(rst),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
    );

    initial begin
        clk = 0;
        forever #5 clk = !clk;
    end

{% include "runs.sv" %}

    // One frame each way: at most 254 bytes and their CRC among them.
    reg [7:0] request [0:255];
    integer request_bytes;
    reg [7:0] reply [0:511];     // as it comes, stuffed
    integer reply_bytes;
    reg [7:0] answer [0:255];    // without stuffing: session and flags, expected, address, data, CRC
    integer answer_bytes;
    reg [5:0] sequence_number;
    reg [31:0] cycles;

    function [31:0] crc_step(input [31:0] crc, input [7:0] data);
        integer bit_number;
        begin
            crc_step = crc ^ {24'd0, data};
            for (bit_number = 0; bit_number < 8; bit_number = bit_number + 1)
                crc_step = (crc_step >> 1) ^ (crc_step[0] ? 32'hEDB8_8320 : 32'd0);
        end
    endfunction

    task send_byte(input [7:0] data);
        begin
            s_axis_tdata = data;
            s_axis_tvalid = 1;
            do @(posedge clk); while (!s_axis_tready);
            @(negedge clk);
            s_axis_tvalid = 0;
        end
    endtask

    // The request with its CRC: each zero-free part with its length plus 1 in front, zeros left out.
    task send_request;
        integer at, last, number;
        reg [31:0] crc;
        begin
            crc = 32'hFFFF_FFFF;
            for (number = 0; number < request_bytes; number = number + 1)
                crc = crc_step(crc, request[number]);
            crc = ~crc;
            for (number = 0; number < 4; number = number + 1)
                request[request_bytes + number] = crc[8 * number +: 8];
            at = 0;
            while (at <= request_bytes + 4) begin
                last = at;
                while (last < request_bytes + 4 && request[last] != 0) last = last + 1;
                send_byte(8'(last - at + 1));
                for (number = at; number < last; number = number + 1) send_byte(request[number]);
                at = last + 1;
            end
            send_byte(0);
        end
    endtask

    task receive_byte(output [7:0] data);
        begin
            m_axis_tready = 1;
            do @(posedge clk); while (!m_axis_tvalid);
            data = m_axis_tdata;
            @(negedge clk);
            m_axis_tready = 0;
        end
    endtask

    // The reply: each part has its length plus 1 behind it, so it is unstuffed from its end.
    task receive_reply;
        integer last, first, number;
        reg [31:0] crc;
        reg [7:0] data;
        begin
            reply_bytes = 0;
            receive_byte(data);
            while (data == 0) receive_byte(data);     // an empty frame
            while (data != 0) begin
                reply[reply_bytes] = data;
                reply_bytes = reply_bytes + 1;
                receive_byte(data);
            end
            answer_bytes = 0;
            for (last = reply_bytes; last > 0; last = first) begin
                first = last - {24'd0, reply[last - 1]};
                if (first < 0) fail("a reply that is not stuffed as replies are");
                answer_bytes = answer_bytes + last - first;
            end
            answer_bytes = answer_bytes - 1;      // no zero behind the last part
            if (answer_bytes < 6) fail("a reply that is too short");
            number = answer_bytes + 1;
            for (last = reply_bytes; last > 0; last = first) begin
                first = last - {24'd0, reply[last - 1]};
                number = number - last + first;
                for (int i = 0; i < last - 1 - first; i = i + 1)
                    answer[number + i] = reply[first + i];
                if (number + last - 1 - first < answer_bytes) answer[number + last - 1 - first] = 0;
            end
            crc = 32'hFFFF_FFFF;
            for (number = 0; number < answer_bytes - 4; number = number + 1)
                crc = crc_step(crc, answer[number]);
            crc = ~crc;
            for (number = 0; number < 4; number = number + 1)
                if (answer[answer_bytes - 4 + number] != crc[8 * number +: 8])
                    fail("a reply with a wrong CRC");
        end
    endtask

    // One request and its reply. Data of a WRITE are in request[6] and on.
    task exchange(input [1:0] operation, input [31:0] word, input [7:0] count);
        integer number;
        begin
            request[0] = {operation, sequence_number};
            for (number = 0; number < 4; number = number + 1)
                request[1 + number] = word[8 * number +: 8];
            request[5] = count;
            request_bytes = 6 + (operation == WRITE ? {24'd0, count} : 0);
            send_request;
            receive_reply;
            if (operation == OPEN) sequence_number = 0;
            else if (operation != READ) sequence_number = sequence_number + 1;
            if (answer[0][3:0] != (operation == READ ? DATA : 4'd0)) fail("a request was refused");
            if (answer[1] != {2'd0, sequence_number}) fail("a request was not done");
        end
    endtask

    task write_register(input [7:0] register_index, input [31:0] value);
        exchange(REGISTER, value, register_index);
    endtask

    task read_word(input [31:0] address, output [31:0] value);
        begin
            exchange(READ, address, 4);
            value = {answer[9], answer[8], answer[7], answer[6]};
        end
    endtask

    task read_register(input [7:0] register_index, output [31:0] value);
        read_word(REGISTERS + {22'd0, register_index, 2'd0}, value);
    endtask

    // The bytes of a word of device memory, by one WRITE where they are all written.
    task write_word(input [31:0] address, input [3:0] mask, input [31:0] data);
        integer number;
        begin
            if (mask == 4'hF) begin
                for (number = 0; number < 4; number = number + 1)
                    request[6 + number] = data[8 * number +: 8];
                exchange(WRITE, address, 4);
            end
            else
                for (number = 0; number < 4; number = number + 1)
                    if (mask[2'(number)]) begin
                        request[6] = data[8 * number +: 8];
                        exchange(WRITE, address + number, 1);
                    end
        end
    endtask

    task run_program(input integer run);
        reg [31:0] status;
        begin
            write_words(runs[run][63:32]);
            write_register(PROGRAM_ADDRESS, runs[run][95:64]);
            write_register(WATCHDOG, LONGEST_RUN);
            write_register(CONTROL, 1);
            read_register(STATUS, status);
            while (status[0]) read_register(STATUS, status);
            if (status != 2) fail("the run ended with an error");
            read_register(CYCLES, cycles);
            check_words(run, runs[run][31:0]);
            $display("run %0d: %0d cycles", run, cycles);
        end
    endtask

    reg [31:0] word;
    integer run;

    initial begin
        load_runs;
        s_axis_tdata = 0;
        s_axis_tvalid = 0;
        m_axis_tready = 0;
        sequence_number = 0;
        rst = 1;
        repeat (4) @(negedge clk);
        rst = 0;
        exchange(OPEN, 0, 1);      // session 1
        read_register(MAGIC, word);
        if (word != MAGIC_VALUE) fail("register MAGIC is not that of kaniwa");
        for (run = 0; run < RUNS; run = run + 1) run_program(run);
        if (errors != 0) fail($sformatf("%0d words of the outputs differ", errors));
        $display("PASS: %0d runs, the last one of %0d cycles", RUNS, cycles);
        $finish;
    end
endmodule
