    // Memory outside behind the master port: one burst of each kind at a time, with delays.
    localparam MODEL_BYTES = {{ model_bytes }};
    localparam BEAT_BYTES = {{ data_bits // 8 }};
    reg [7:0] model [0:MODEL_BYTES-1];

    // The place of a beat in the model; a burst goes on with the next BEAT_BYTES.
    function integer place(input [{{ address_bits - 1 }}:0] address, input [31:0] beat);
        reg [{{ address_bits - 1 }}:0] offset;
        begin
            offset = address - OUTSIDE_BASE;
            place = (offset[31:0] / BEAT_BYTES + beat) * BEAT_BYTES;
            if (offset >= MODEL_BYTES || place >= MODEL_BYTES)
                fail("an access of the master port is past the memory outside");
        end
    endfunction

    function void check_burst(input [2:0] size, input [1:0] burst, input lock);
        if (32'd1 << size != BEAT_BYTES || burst != 1 || lock)
            fail("a burst of a kind that the model has not");
    endfunction

    // A memory does not look at these.
    wire unused = &{m_axi_awcache, m_axi_awprot, m_axi_awqos,
                    m_axi_arcache, m_axi_arprot, m_axi_arqos};

    initial begin : reads
        integer beat, beats, number, from;
        reg [{{ address_bits - 1 }}:0] address;
        m_axi_arready = 0;
        m_axi_rvalid = 0;
        m_axi_rlast = 0;
        m_axi_rdata = 0;
        m_axi_rid = 0;
        m_axi_rresp = 0;
        forever begin
            m_axi_arready = 1;
            do @(posedge clk); while (!m_axi_arvalid);
            address = m_axi_araddr;
            beats = {24'd0, m_axi_arlen} + 1;
            check_burst(m_axi_arsize, m_axi_arburst, m_axi_arlock);
            m_axi_rid = m_axi_arid;
            @(negedge clk);
            m_axi_arready = 0;
            repeat ($urandom_range(6)) @(negedge clk);
            for (beat = 0; beat < beats; beat = beat + 1) begin
                if ($urandom_range(3) == 0) @(negedge clk);
                from = place(address, beat);
                for (number = 0; number < BEAT_BYTES; number = number + 1)
                    m_axi_rdata[8 * number +: 8] = model[from + number];
                m_axi_rlast = beat == beats - 1;
                m_axi_rvalid = 1;
                do @(posedge clk); while (!m_axi_rready);
                @(negedge clk);
                m_axi_rvalid = 0;
            end
        end
    end

    initial begin : writes_outside
        integer beat, beats, number, to;
        reg [{{ address_bits - 1 }}:0] address;
        m_axi_awready = 0;
        m_axi_wready = 0;
        m_axi_bvalid = 0;
        m_axi_bid = 0;
        m_axi_bresp = 0;
        forever begin
            m_axi_awready = 1;
            do @(posedge clk); while (!m_axi_awvalid);
            address = m_axi_awaddr;
            beats = {24'd0, m_axi_awlen} + 1;
            check_burst(m_axi_awsize, m_axi_awburst, m_axi_awlock);
            m_axi_bid = m_axi_awid;
            @(negedge clk);
            m_axi_awready = 0;
            for (beat = 0; beat < beats; beat = beat + 1) begin
                if ($urandom_range(3) == 0) @(negedge clk);
                m_axi_wready = 1;
                do @(posedge clk); while (!m_axi_wvalid);
                to = place(address, beat);
                for (number = 0; number < BEAT_BYTES; number = number + 1)
                    if (m_axi_wstrb[number]) model[to + number] = m_axi_wdata[8 * number +: 8];
                if (m_axi_wlast != (beat == beats - 1)) fail("wlast is not at the last beat");
                @(negedge clk);
                m_axi_wready = 0;
            end
            repeat ($urandom_range(6)) @(negedge clk);
            m_axi_bvalid = 1;
            do @(posedge clk); while (!m_axi_bready);
            @(negedge clk);
            m_axi_bvalid = 0;
        end
    end

{% include "model_access.sv" %}
