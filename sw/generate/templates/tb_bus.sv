// Testbench of {{ name }}: small networks, whose outputs are compared with the expected bytes.
//
// It does what a processor does: it writes a program, its weights and its inputs to device memory,
// starts the program, waits for irq, and reads the outputs.
// The hex files have one word of 32 bits of device memory a line: mask of its bytes, address, data.

module {{ name }}_tb;
    localparam RUNS = {{ runs }};
    localparam WRITES = {{ writes }};       // words of all runs together
    localparam CHECKS = {{ checks }};
    localparam LONGEST_RUN = 10_000_000;    // cycles
{% if sensor %}
    localparam SAMPLES = {{ sensor.frames | map("length") | sum }};
    localparam RESULTS = {{ sensor.results | map("length") | sum }};     // bytes
{% endif %}

    // Byte offsets in the window
{% for word in used %}
    localparam [31:0] {{ word.name }} = 32'h{{ "%03X" % word.offset }};
{% endfor %}
    localparam [31:0] WINDOW_BYTES = 32'h{{ "%X" % window_bytes }};
    localparam [31:0] MEMORY = 32'h{{ "%X" % memory_offset }};
    localparam [31:0] MAGIC_VALUE = 32'h{{ "%08X" % magic }};
{% if design.outside %}
    localparam [{{ address_bits - 1 }}:0] OUTSIDE_BASE = {{ address_bits }}'h4000_0000;   // bus address of the memory outside
{% endif %}

    // The testbench changes its signals at the falling edge, the accelerator at the rising one.
    reg clk, rst;
    wire irq;
{% for prefix, group in sides.items() if prefix %}
{% for port in group %}
    {{ "wire" if port.output else "reg" }} {{ "[%d:0] " % (port.width - 1) if port.width > 1 }}{{ port.name }};
{% endfor %}
{% endfor %}

    {{ name }} dut (
        .clk(clk), .rst(rst), .irq(irq){% for prefix, group in sides.items() if prefix %}
{% for port in group %},
        .{{ port.name }}({{ port.name }}){% endfor %}
{% endfor %}

    );

    initial begin
        clk = 0;
        forever #5 clk = !clk;
    end

{% include "runs.sv" %}

    reg [31:0] cycles;

    task check_offset(input [31:0] offset);
        if (offset[1:0] != 0 || offset >= WINDOW_BYTES) fail("an access that is not in the window");
    endtask

{% if design.bus == "axi4" %}
    // One AXI4-Lite access at a time. They begin and end at a falling edge.
    task bus_write(input [31:0] offset, input [3:0] strobes, input [31:0] data);
        begin
            check_offset(offset);
            s_axi_awaddr = offset[{{ window_bits - 1 }}:0];
            s_axi_awvalid = 1;
            s_axi_wdata = data;
            s_axi_wstrb = strobes;
            s_axi_wvalid = 1;
            s_axi_bready = 1;
            while (s_axi_awvalid || s_axi_wvalid) begin
                @(posedge clk);
                address_taken = s_axi_awready;
                data_taken = s_axi_wready;
                @(negedge clk);
                if (address_taken) s_axi_awvalid = 0;
                if (data_taken) s_axi_wvalid = 0;
            end
            while (!s_axi_bvalid) @(negedge clk);
            if (s_axi_bresp != 0) fail("a write to the window got an error");
            @(negedge clk);
            s_axi_bready = 0;
        end
    endtask

    reg address_taken, data_taken;

    task bus_read(input [31:0] offset, output [31:0] data);
        begin
            check_offset(offset);
            s_axi_araddr = offset[{{ window_bits - 1 }}:0];
            s_axi_arvalid = 1;
            s_axi_rready = 1;
            do @(posedge clk); while (!s_axi_arready);
            @(negedge clk);
            s_axi_arvalid = 0;
            while (!s_axi_rvalid) @(negedge clk);
            data = s_axi_rdata;
            if (s_axi_rresp != 0) fail("a read of the window got an error");
            @(negedge clk);
            s_axi_rready = 0;
        end
    endtask
{% else %}
    // One classic Wishbone cycle at a time. They begin and end at a falling edge.
    task bus_access(input write, input [31:0] offset, input [3:0] selected, input [31:0] data);
        begin
            check_offset(offset);
            s_wb_adr = offset[{{ window_bits - 1 }}:2];
            s_wb_we = write;
            s_wb_sel = selected;
            s_wb_dat_w = data;
            s_wb_cyc = 1;
            s_wb_stb = 1;
            do @(posedge clk); while (!s_wb_ack && !s_wb_err);
            if (s_wb_err) fail("an access of the window got an error");
            answered = s_wb_dat_r;
            @(negedge clk);
            s_wb_cyc = 0;
            s_wb_stb = 0;
        end
    endtask

    reg [31:0] answered;

    task bus_write(input [31:0] offset, input [3:0] strobes, input [31:0] data);
        bus_access(1, offset, strobes, data);
    endtask

    task bus_read(input [31:0] offset, output [31:0] data);
        begin
            bus_access(0, offset, 4'hF, 0);
            data = answered;
        end
    endtask
{% endif %}

    task write_register(input [31:0] offset, input [31:0] value);
        bus_write(offset, 4'hF, value);
    endtask

    // Device memory: on chip it is in the window{% if design.outside %}, outside it is the memory model's{% endif %}.
    task write_word(input [31:0] address, input [3:0] mask, input [31:0] data);
{% if design.outside %}
        if (address[31]) model_write(address[30:0], mask, data);
        else bus_write(MEMORY + address, mask, data);
{% else %}
        bus_write(MEMORY + address, mask, data);
{% endif %}
    endtask

    task read_word(input [31:0] address, output [31:0] data);
{% if design.outside %}
        if (address[31]) model_read(address[30:0], data);
        else bus_read(MEMORY + address, data);
{% else %}
        bus_read(MEMORY + address, data);
{% endif %}
    endtask

    task run_program(input integer run);
        reg [31:0] status;
        begin
            write_words(runs[run][63:32]);
            write_register(PROGRAM_ADDRESS, runs[run][95:64]);
            write_register(WATCHDOG, LONGEST_RUN);
            write_register(CONTROL, 1);
            while (!irq) @(negedge clk);
            bus_read(STATUS, status);
            if (status != 2) fail("the run ended with an error");
            bus_read(IRQ_STATUS, status);
            if (status != 1) fail("irq came for another reason than the end of the run");
            write_register(IRQ_STATUS, 1);
            @(negedge clk);
            if (irq) fail("irq stays after its bit was cleared");
            bus_read(CYCLES, cycles);
            check_words(run, runs[run][31:0]);
            $display("run %0d: %0d cycles", run, cycles);
        end
    endtask
{% if design.outside %}

{% include "model_axi4.sv" if design.bus == "axi4" else "model_wishbone.sv" %}
{% endif %}
{% if sensor %}

{% include "sensor.sv" %}
{% endif %}

    reg [31:0] word;
    integer run;

    initial begin
        load_runs;
{% for port in sides[slave] if not port.output %}
        {{ port.name }} = 0;
{% endfor %}
{% if sensor %}
        s_axis_sample_tvalid = 0;
        m_axis_result_tready = 0;
{% endif %}
        rst = 1;
        repeat (4) @(negedge clk);
        rst = 0;
        @(negedge clk);
        bus_read(MAGIC, word);
        if (word != MAGIC_VALUE) fail("register MAGIC is not that of kaniwa");
{% if design.outside %}
        write_register(OUTSIDE_BASE_LOW, OUTSIDE_BASE[31:0]);
        write_register(OUTSIDE_BASE_HIGH, 0);
{% endif %}
        write_register(IRQ_ENABLE, 3);
        for (run = 0; run < RUNS; run = run + 1) run_program(run);
{% if sensor %}
        run_sensor;
{% endif %}
        if (errors != 0) fail($sformatf("%0d words of the outputs differ", errors));
        $display("PASS: %0d runs, the last one of %0d cycles", RUNS, cycles);
        $finish;
    end
endmodule
